"""Text -> program: a tokenizer and a Pratt parser, which build nodes of the table and nothing else.

Nothing is ever evaluated, imported or executed: a text is either a program or a `FormulaError` with its place and its
mend. A parser of our own, not Python's `ast`, because the language is not Python's: `^` is a power, `lambda` a name,
`2x` deserves a mend, columns stand in backticks; and because CPython's own parser refuses a long sum or a deep nest
depending on its version and on how deep the caller already stands. docs/architecture.md says more.

    formula     = expression [ "=" expression ]
    rule        = name "=" expression { ";" name "=" expression }
    expression  = or > and > not > comparison > sum > product and "@" > sign > power > call, name, number, ( ), [ ]
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import NoReturn

from ..errors import FormulaError
from .functions import ALIASES, FUNCTIONS, callable_names
from .program import EXACT_LIMIT, Graph

MAX_LENGTH = 10_000  # characters
MAX_DEPTH = 100  # nested parentheses, calls, signs, powers
MAX_EXPONENT = 10_000  # of a written number's power: 1e9999 is no number
MAX_ORDER = 100  # of polygamma, whose values grow like the factorial

TOKEN = re.compile(
    r"(?P<space>\s+)"
    r"|(?P<number>(?:[0-9](?:_?[0-9])*(?:\.(?:[0-9](?:_?[0-9])*)?)?|\.[0-9](?:_?[0-9])*)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<quoted>`[^`]*`)"
    r"|(?P<name>[^\W\d]\w*)"
    r"|(?P<sign>\*\*|//|<=|>=|==|!=|<>|=<|=>|:=|->|&&|\|\||[-+*/^@=<>()\[\],;])",
    re.UNICODE,
)

LOOKALIKES = {
    "\u00d7": "write * for a product", "\u00b7": "write * for a product", "\u22c5": "write * for a product",
    "\u2212": "write the minus sign of the keyboard, -", "\u2013": "write the minus sign of the keyboard, -",
    "\u2014": "write the minus sign of the keyboard, -", "\u00f7": "write / for a quotient",
    "\u00b2": "write **2", "\u00b3": "write **3", "\u221a": "write sqrt(...)",
    "\u2264": "write <=", "\u2265": "write >=",
    "\u2260": "write !=", "~": "R's ~ is written = here, and every parameter by name: y = a + b*x",
    "%": "there is no remainder; percentages are written as numbers", "&": "write and",
    "|": "write or between conditions, abs(x) for |x|",
    "!": "write not, or != for unequal", "{": "write round parentheses", "}": "write round parentheses",
    "\u201c": "names need no quotes", "\u201d": "names need no quotes", '"': "names need no quotes",
    "'": "names need no quotes; odd column names stand in backticks, `my column`",
    "`": "a name in backticks must end with a backtick", "$": "a column with an odd name stands in backticks",
    "#": "a column with an odd name stands in backticks", ":": "a formula has no colon",
    "\\": "a formula is plain text, not LaTeX",
    ".": "functions stand alone, as in exp(x); a column with a dot in its name stands in backticks",
}  # fmt: skip
SIGN_MENDS = {
    "//": "write / for a quotient",
    "<>": "write !=",
    "=<": "write <=",
    "=>": "write >=",
    ":=": "write =",
    "->": "write the left side first: y = ...",
    "&&": "write and",
    "||": "write or",
}

# binding power of the operators that stand between two operands; ** binds to the right and above a sign
BINDING = {
    "or": 1,
    "and": 2,
    "<": 4,
    "<=": 4,
    ">": 4,
    ">=": 4,
    "==": 4,
    "!=": 4,
    "+": 5,
    "-": 5,
    "*": 6,
    "/": 6,
    "@": 6,
}
NOT, SIGN, POWER = 3, 7, 8
COMPARISONS = frozenset(("<", "<=", ">", ">=", "==", "!="))
NUMERIC = COMPARISONS | {"+", "-", "*", "/", "**"}  # between two numbers
VARIADIC = frozenset(("min", "max"))
TOO_DEEP = "there is no room left on the stack to read a formula: the call comes from too deep a recursion"
CALLS = {
    "min": "write min(a, b)",
    "max": "write max(a, b)",
    "**": "write pow(x, n), or x**n",
    "where": "write where(condition, a, b)",
    "clip": "write clip(x, lower, upper)",
    "atan2": "write atan2(y, x)",
    "polygamma": "write polygamma(1, x), the order first",
}
WORDS = {1: "one argument", 2: "two arguments", 3: "three arguments"}


@dataclass(frozen=True)
class Token:
    kind: str  # number, name, sign, end
    text: str
    start: int
    stop: int
    quoted: bool = False


@dataclass(frozen=True)
class Formula:
    """What was written: both sides as nodes of a graph (`left` is None without `=`), and where each name stands."""

    text: str
    graph: Graph
    left: int | None
    right: int
    names: Mapping[str, tuple[int, int]]  # in the order in which they are first written

    @property
    def outputs(self) -> tuple[int, ...]:
        """The nodes of the sides that are there."""
        return (self.right,) if self.left is None else (self.left, self.right)

    def error(self, problem: str, name: str = "", mend: str = "") -> FormulaError:
        """A FormulaError with the mark under a name."""
        start, stop = self.names.get(name, (0, 0))
        return FormulaError(problem, text=self.text if name in self.names else "", start=start, stop=stop, mend=mend)


def parse(text: str, *, condition: bool = False, private: bool = False) -> Formula:
    """Read a formula.

    Parameters: `condition` asks for a truth value (`x > 0`, for `where=`) instead of a number; `private` admits the
    table's own functions. Raises FormulaError and nothing else, whatever the text.
    """
    try:
        return _formula(text, condition, private)
    except RecursionError:
        raise FormulaError(TOO_DEEP) from None


def _formula(text: str, condition: bool, private: bool) -> Formula:
    parser = _Parser(text, private)
    start = parser.token
    first = parser.expression(0)
    left = None
    if parser.token.text == "=" and parser.token.kind == "sign":
        if condition:
            parser.fail("a condition compares", parser.token, "write == for equality")
        parser.number_like(first, start)
        parser.advance()
        start, left = parser.token, first
        first = parser.expression(0)
    parser.finish()
    if condition:
        if not parser.graph.is_condition(first):
            parser.fail("a condition is needed here", start, "compare something, as in x > 0", parser.previous)
    else:
        parser.number_like(first, start)
    return Formula(text, parser.graph, left, first, parser.names)


def parse_rule(text: str) -> tuple[Formula, list[tuple[str, int]]]:
    """Read assignments in order, separated by `;`: the formula of the last one, and (name, node) of each.

    A name that was assigned before stands for its new value in the assignments that follow.
    """
    try:
        return _rule(text)
    except RecursionError:
        raise FormulaError(TOO_DEEP) from None


def _rule(text: str) -> tuple[Formula, list[tuple[str, int]]]:
    parser = _Parser(text, False)
    assigned: list[tuple[str, int]] = []
    while True:
        target = parser.token
        if target.kind != "name":
            parser.fail("an update rule is assignments", target, "as in v = 0.9*v + g; theta = theta - rate*v")
        if not target.quoted and target.text in ("pi", "and", "or", "not"):
            parser.fail(f"{target.text} cannot be assigned", target, "choose another name")
        parser.advance()
        parser.expect("=", "an assignment needs =, as in theta = theta - rate*g")
        start = parser.token
        node = parser.expression(0)
        parser.number_like(node, start)
        assigned.append((target.text, node))
        parser.bound[target.text] = node
        parser.names.setdefault(target.text, (target.start, target.stop))
        if parser.token.text != ";":
            break
        parser.advance()
        if parser.token.kind == "end":
            break
    parser.finish()
    return Formula(text, parser.graph, None, node, parser.names), assigned


def tokenize(text: str) -> list[Token]:
    """The tokens of a text, with their places; the last one is the end."""
    if not isinstance(text, str):
        raise FormulaError(f"a formula is text, not {type(text).__name__}")
    if len(text) > MAX_LENGTH:
        raise FormulaError(
            f"the formula is {len(text):,} characters long; at most {MAX_LENGTH:,} are read",
            mend="a sum over many columns is written X @ B",
        )
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None:
            character = text[at]
            shown = character if character.isprintable() else f"the character U+{ord(character):04X}"
            mend = LOOKALIKES.get(character) or _meant(character)
            raise FormulaError(f"{shown} has no meaning in a formula", text=text, start=at, stop=at + 1, mend=mend)
        kind, word, start, at = str(match.lastgroup), match.group(), match.start(), match.end()
        if kind == "space":
            continue
        if kind == "quoted":
            if not word[1:-1].strip():
                raise FormulaError("an empty name", text=text, start=start, stop=at)
            tokens.append(Token("name", word[1:-1], start, at, quoted=True))
            continue
        if kind == "name" and unicodedata.normalize("NFKC", word) != word:
            plain = unicodedata.normalize("NFKC", word)
            power = plain[-1].isdecimal() and not word[-1].isdecimal()
            name, head = _short(plain), _short(plain[:-1])
            mend = f"for a power write {head}**{plain[-1]}, for a name {name}" if power else f"write {name}"
            raise FormulaError(
                f"the name {_short(word)} looks like another", text=text, start=start, stop=at, mend=mend
            )
        if word in SIGN_MENDS:
            raise FormulaError(
                f"{word} has no meaning in a formula", text=text, start=start, stop=at, mend=SIGN_MENDS[word]
            )
        tokens.append(Token(kind, "**" if word == "^" else word, start, at))
    tokens.append(Token("end", "", len(text), len(text)))
    return tokens


def _short(word: str, most: int = 40) -> str:
    """A word as a message repeats it."""
    return word if len(word) <= most else word[: most - 3] + "..."


def _meant(character: str) -> str:
    """What was meant by a character that has no meaning."""
    if character.isdecimal() and not character.isascii():
        return "write the digits 0 to 9"
    return "" if character.isprintable() else "delete it: it cannot be seen"


class _Parser:
    """One text being read: `token` is the next one, `graph` takes the nodes."""

    def __init__(self, text: str, private: bool) -> None:
        self.tokens = tokenize(text)
        self.text, self.private = text, private
        self.graph = Graph()
        self.names: dict[str, tuple[int, int]] = {}
        self.bound: dict[str, int] = {}
        self.index = self.depth = 0
        self.token = self.previous = self.tokens[0]
        if self.token.kind == "end":
            raise FormulaError("the formula is empty", mend="as in y = a*exp(-b*x) + c")

    # steps -------------------------------------------------------------------------------------------------
    def advance(self) -> Token:
        self.previous = self.token
        self.index += 1
        self.token = self.tokens[self.index]
        return self.previous

    def fail(self, problem: str, token: Token, mend: str = "", last: Token | None = None) -> NoReturn:
        stop = (last or token).stop
        raise FormulaError(problem, text=self.text, start=token.start, stop=max(stop, token.start + 1), mend=mend)

    def expect(self, sign: str, problem: str, opened: Token | None = None, mend: str = "") -> None:
        if self.token.text != sign or self.token.kind != "sign":
            self.missing_sign()
            self.fail(problem, opened or self.token, mend)
        self.advance()

    def finish(self) -> None:
        """Nothing may follow a whole formula; the likeliest reasons are said."""
        token = self.token
        if token.kind == "end":
            return
        self.missing_sign()
        if token.text == ")":
            self.fail("a parenthesis closes that was not opened", token, "delete it, or write ( where it begins")
        if token.text == "=":
            self.fail("a second = in the formula", token, "write == to compare, inside where(...)")
        if token.text == ",":
            self.fail(
                "a comma stands only between the arguments of a function", token, "write a decimal point, as in 1.5"
            )
        if token.text == ";":
            self.fail("one formula at a time", token, "only an update rule has several assignments")
        self.fail(f"{_short(token.text)} is not expected here", token)

    def missing_sign(self) -> None:
        """Two operands in a row: say which sign is missing."""
        before, token = self.previous, self.token
        starts = token.kind in ("number", "name") or token.text in ("(", "[")
        ends = before.kind in ("number", "name") or before.text in (")", "]")
        if not (starts and ends and self.index) or token.text in ("and", "or", "not"):
            return
        if before.kind == token.kind == "number" and before.stop == token.start:
            whole = _short(self.text[before.start : token.stop])
            self.fail(f"{whole} is no number", before, "a number has one decimal point, as in 1.5", token)
        if token.text in ("if", "else") or before.text in ("if", "else"):
            self.fail("a choice is written as a function", before, "write where(condition, a, b)", token)
        if before.kind == "number" and token.kind == "name" and re.fullmatch(r"[eE]\d*", token.text):
            mend = f"{_short(before.text)}*{token.text} is a product, {_short(before.text)}e3 a number"
        elif token.text == "[":
            mend = ""
        elif before.kind == "name" and ALIASES.get(before.text, before.text) in callable_names():
            mend = f"write {before.text}({_short(token.text)})"
        else:
            left = _short(self.text[before.start : before.stop]) if before.text != ")" else "(...)"
            right = _short(self.text[token.start : token.stop]) if token.text != "(" else "(...)"
            mend = f"write {left}*{right} for a product"
        self.fail("a sign is missing between the two", before, mend, token)

    # grammar -----------------------------------------------------------------------------------------------
    def expression(self, binding: int) -> int:
        """A Pratt parser: read an operand, then every operator that binds at least as tightly as asked."""
        start = self.token
        left = self.operand(binding)
        while True:
            token = self.token
            op = token.text if not token.quoted and token.kind in ("sign", "name") else ""
            power = op == "**" and binding <= POWER
            if not power and not (op in BINDING and BINDING[op] >= max(binding, 1)):
                return left
            if op in NUMERIC:
                self.number_like(left, start)
            self.advance()
            if op in COMPARISONS:
                left = self.comparison(op, left, start)
            else:
                following = self.token
                right = self.nested(POWER) if power else self.expression(BINDING[op] + 1)
                if op in NUMERIC:
                    self.number_like(right, following)
                left = self.binary(op, left, start, token, right)

    def nested(self, binding: int) -> int:
        """An expression one level deeper."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.fail(f"nested more than {MAX_DEPTH} deep", self.token, "make the inner part a column, or split it")
        node = self.expression(binding)
        self.depth -= 1
        return node

    def comparison(self, op: str, left: int, start: Token) -> int:
        """`a < b`, and `a < b < c` as both."""
        node = -1
        while True:
            following = self.token
            right = self.expression(BINDING["<"] + 1)
            self.number_like(right, following)
            pair = self.placed(self.graph.apply(op, left, right), start)
            node = pair if node < 0 else self.graph.apply("and", node, pair)
            if self.token.kind != "sign" or self.token.text not in COMPARISONS:
                return node
            op, left, start = self.advance().text, right, following

    def binary(self, op: str, left: int, start: Token, token: Token, right: int) -> int:
        nodes, graph = self.graph.nodes, self.graph
        if op in ("and", "or"):
            for side in (left, right):
                if not graph.is_condition(side):
                    self.fail(f"{op} stands between two conditions", token, "as in x > 0 and x < 1")
            return self.placed(graph.apply(op, left, right), start)
        if op == "@":
            if nodes[left][0] not in ("name", "stack") or nodes[right][0] != "name":
                mend = "write X @ B, X a matrix column or a list [x1, x2] and B a name; a ridge penalty is 5*(B @ B)"
                self.fail("@ stands between a matrix and the name of its parameters", token, mend)
            return self.placed(graph.dot(left, right), start)
        return self.placed(graph.apply(op, left, right), start, (left, right))

    def operand(self, binding: int) -> int:
        token = self.token
        if token.kind == "number":
            self.advance()
            return self.placed(self.graph.number(self.literal(token)), token)
        if token.kind == "name" and (token.quoted or token.text not in ("and", "or", "not")):
            self.advance()
            return self.named(token)
        if token.text == "not" and token.kind == "name":
            self.advance()
            inner = self.nested(NOT)
            if not self.graph.is_condition(inner):
                self.fail("not stands before a condition", token, "as in not x > 0")
            return self.placed(self.graph.apply("not", inner), token)
        if token.kind == "sign" and token.text in "+-":
            self.advance()
            # -b*x is -(b*x): the same bits as (-b)*x, and what derivatives pull out anyway
            inner = self.nested(BINDING["*"] if binding <= BINDING["*"] else SIGN)
            self.number_like(inner, token)
            return inner if token.text == "+" else self.placed(self.graph.apply("neg", inner), token, (inner,))
        if token.text == "(" and token.kind == "sign":
            self.advance()
            if self.token.text == ")":
                self.fail("empty parentheses", token, "write something between them, or delete them", self.token)
            inner = self.nested(0)
            if self.token.text == ",":
                self.fail(
                    "a comma stands only between the arguments of a function", self.token, "write a decimal point"
                )
            self.expect(")", "this parenthesis is not closed", token, "write ) where it ends")
            return inner
        if token.text == "[":
            return self.columns()
        if token.kind == "end":
            shown = _short(self.text[self.previous.start : self.previous.stop])
            self.fail("the formula ends too early", self.previous, f"something is missing after {shown}")
        if token.text == ")" and not self.index:
            self.fail("a parenthesis closes that was not opened", token, "delete it, or write ( where it begins")
        if token.text == "=":
            mend = (
                "write == to compare, = only once between both sides"
                if self.index and self.previous.text == "="
                else ""
            )
            if mend:
                self.fail("= = is no sign", token, mend)
            self.fail("something is missing before =", token, "write y = ..., with y a column")
        if token.text in ("*", "/", "**", "@") and self.previous.text in ("*", "/"):
            self.fail("two signs in a row", self.previous, "a power is written ** or ^", token)
        mend = f"delete {token.text}, or write what is missing"
        self.fail(f"a number, a name or a parenthesis is missing before {token.text}", token, mend)

    def columns(self) -> int:
        """`[x1, x2, x3]`: the columns of a matrix."""
        opened = self.advance()
        if self.token.text == "]":
            self.fail("an empty list of columns", opened, "as in [x1, x2] @ B", self.token)
        nodes: list[int] = []
        while True:
            start = self.token
            nodes.append(self.nested(0))
            self.number_like(nodes[-1], start)
            if self.token.text != ",":
                break
            self.advance()
        self.expect("]", "this bracket is not closed", opened, "write ] where it ends")
        return self.placed(self.graph.stack(nodes), opened)

    def named(self, token: Token) -> int:
        """A name, a constant, a call, an indexed parameter."""
        if self.token.text == "(" and self.token.kind == "sign" and not token.quoted:
            return self.call(token)
        if self.token.text == "[" and self.token.kind == "sign":
            if not token.quoted and ALIASES.get(token.text, token.text) in callable_names():
                self.fail("a function takes round parentheses", token, f"write {token.text}(...)", self.token)
            self.advance()
            inner = self.token
            self.nested(0)
            self.expect("]", "this bracket is not closed", inner, "write ] where it ends")
            problem = "an indexed parameter (one value for each value of a column) is not built yet"
            self.fail(problem, token, "fit each group by itself, with where=", self.previous)
        if token.text == "pi" and not token.quoted:
            return self.placed(self.graph.pi(), token)
        if token.text in self.bound:
            return self.bound[token.text]
        self.names.setdefault(token.text, (token.start, token.stop))
        return self.placed(self.graph.name(token.text), token)

    def call(self, token: Token) -> int:
        name = ALIASES.get(token.text, token.text)
        row = FUNCTIONS.get(name)
        if row is None or (row.operator and token.text not in ALIASES) or (name[0] == "_" and not self.private):
            self.unknown(token)
        opened = self.advance()
        arguments: list[int] = []
        if self.token.text != ")":
            while True:
                start = self.token
                arguments.append(self.nested(0))
                if name == "where" and len(arguments) == 1:
                    if not self.graph.is_condition(arguments[0]):
                        self.fail("where(condition, a, b) begins with a condition", start, "as in where(x > 0, a, b)")
                else:
                    self.number_like(arguments[-1], start)
                if name == "polygamma" and len(arguments) == 1 and self.token.text == ",":
                    self.order(arguments[0], start)
                if self.token.text != ",":
                    break
                self.advance()
        self.expect(")", "this parenthesis is not closed", opened, "write ) where it ends")
        if name in VARIADIC and len(arguments) > 2:
            node = arguments[0]
            for argument in arguments[1:]:
                node = self.graph.apply(name, node, argument)
            return self.placed(node, token)
        if len(arguments) != row.arity:
            mend = CALLS.get(name) or f"write {token.text}(x)"
            wanted = "two arguments or more" if name in VARIADIC else WORDS[row.arity]
            self.fail(f"{token.text} takes {wanted}, not {len(arguments)}", token, mend, self.previous)
        return self.placed(self.graph.apply(name, *arguments), token, tuple(arguments))

    def unknown(self, token: Token) -> NoReturn:
        advice = {
            "sum": "the sum over rows is taken by itself; over columns write X @ B, over squares in a penalty B @ B",
            "mean": "means over rows are taken by itself: write the loss of one row",
            "if": "write where(condition, a, b)", "I": "names need a sign: I*(...)",
            "poly": "write the terms: b0 + b1*x + b2*x**2",
            "norm": "the loss is squares by itself; a ridge penalty is 5*(B @ B)",
        }  # fmt: skip
        near = difflib.get_close_matches(token.text.lower()[:40], [*callable_names(), *ALIASES], 1, 0.65)
        product = f"write {_short(token.text)}*(...) for a product"
        mend = advice.get(token.text) or (f"did you mean {near[0]}(...)? Else {product}" if near else product)
        self.fail(f"{_short(token.text)} is not a function that steepest knows", token, mend)

    # checks ------------------------------------------------------------------------------------------------
    def literal(self, token: Token) -> int | Fraction | float:
        digits = token.text.replace("_", "")
        exponent = re.search(r"[eE]([+-]?\d+)$", digits)
        if exponent is not None and (len(exponent[1]) > 6 or abs(int(exponent[1])) > MAX_EXPONENT):
            self.fail("this number is out of range", token, "the largest is about 1.8e308")
        if digits.isascii() and digits.isdigit():
            if len(digits) > 300:
                self.fail("this number is too long", token, "write it as 1.23e45")
            value = int(digits)
            return value if value <= EXACT_LIMIT else float(value)
        number = float(digits)
        if number in (float("inf"), float("-inf")):
            self.fail("this number is out of range", token, "the largest is about 1.8e308")
        if number == 0 and re.search("[1-9]", digits.lower().partition("e")[0]):
            self.fail("this number is too small", token, "the smallest is about 4.9e-324; write 0")
        return number

    def order(self, node: int, start: Token) -> None:
        """The order of polygamma, by which there is no derivative, is a number and neither column nor parameter."""
        order = self.graph.value(node)
        whole = isinstance(order, int) and 0 <= order <= MAX_ORDER
        if not whole and not self.private:  # the table's own formulas count it up
            problem = f"the order of polygamma is a written whole number from 0 to {MAX_ORDER}"
            self.fail(problem, start, CALLS["polygamma"], self.previous)

    def number_like(self, node: int, start: Token) -> None:
        if self.graph.is_condition(node):
            equal = self.graph.nodes[node][0] == "=="
            mend = (
                "write = between both sides of a model" if equal else "write where(x > 0, a, b) to choose between two"
            )
            self.fail("a comparison is no number", start, mend, self.previous)
        if self.graph.nodes[node][0] == "stack":
            self.fail("a list of columns stands only before @", start, "as in [x1, x2] @ B", self.previous)

    def placed(self, node: int, start: Token, arguments: tuple[int, ...] = ()) -> int:
        """Remember where a node stands; refuse one on constants alone that is no finite number."""
        self.graph.places.setdefault(node, (start.start, self.previous.stop))
        constant = arguments and all(self.graph.is_constant(a) for a in arguments)
        if constant and not self.graph.is_constant(node) and not self.graph.is_condition(node):
            shown = self.text[start.start : self.previous.stop]
            if len(shown) > 40:
                shown = "this part"
            self.fail(f"{shown} is not a finite number", start, "a formula is computed in real numbers", self.previous)
        return node
