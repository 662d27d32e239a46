# Fits by nls, timed: Rscript _solvers.R FOLDER ROUNDS
# FOLDER/tasks.tsv names the tasks; the columns of each stand as doubles, one after the other, in NAME.bin. A line for
# each fit: name, algorithm, its word, median seconds, values, errors.
arguments <- commandArgs(trailingOnly = TRUE)
tasks <- read.delim(file.path(arguments[1], "tasks.tsv"), colClasses = "character", quote = "")
rounds <- as.integer(arguments[2])
words <- function(text) strsplit(text, " ", fixed = TRUE)[[1]]
numbers <- function(values) paste(sprintf("%.17g", values), collapse = " ")

fitted <- function(task, data, algorithm) {
  given <- list(formula = as.formula(task$formula), data = data, algorithm = algorithm)
  if (nzchar(task$start)) {
    given$start <- as.list(setNames(as.numeric(words(task$start)), words(task$parameters)))
  }
  warned <- FALSE
  heard <- function(warning) {
    # without starts nls begins at ones and says so: that is no doubt of the answer
    if (!grepl("^No starting values", conditionMessage(warning))) warned <<- TRUE
    invokeRestart("muffleWarning")
  }
  began <- Sys.time()
  fit <- tryCatch(withCallingHandlers(do.call(nls, given), warning = heard), error = function(error) NULL)
  list(fit = fit, warned = warned, seconds = as.numeric(Sys.time() - began, units = "secs"))
}

cat(sprintf("R %s.%s\n", R.version$major, R.version$minor))
for (row in seq_len(nrow(tasks))) {
  task <- tasks[row, ]
  names <- words(task$columns)
  count <- as.integer(task$rows)
  values <- readBin(file.path(arguments[1], paste0(task$name, ".bin")), "double", count * length(names))
  data <- as.data.frame(matrix(values, count, dimnames = list(NULL, names)))
  for (algorithm in c("default", "port")) {
    found <- lapply(seq_len(rounds + 1), function(round) fitted(task, data, algorithm))
    seconds <- median(sapply(found[-1], function(one) one$seconds))
    fit <- found[[1]]$fit
    word <- "gave up"
    if (!is.null(fit) && fit$convInfo$isConv) word <- if (found[[1]]$warned) "warned" else "converged"
    estimates <- if (is.null(fit)) numeric() else coef(fit)[words(task$parameters)]
    errors <- tryCatch(summary(fit)$coefficients[words(task$parameters), 2], error = function(error) numeric())
    cat(paste(task$name, algorithm, word, numbers(seconds), numbers(estimates), numbers(errors), sep = "\t"), "\n", sep = "")
  }
}
