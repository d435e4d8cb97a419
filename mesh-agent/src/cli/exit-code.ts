/** How a command ends. */

/** 0 done, 1 refused or failed, 2 wrong usage, 3 the task goes on, 130 interrupted. */
export type ExitCode = 0 | 1 | 2 | 3 | 130

/** How a command says how it ended. Nothing said: it is done. */
export type End = (code: ExitCode) => void
