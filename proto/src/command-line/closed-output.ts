/** Output whose reader is gone. */

/** Call it first: until then a closed pipe ends the process with the stack of an error that nobody handles. */
export function outliveClosedOutput(process: NodeJS.Process): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    // the reader of the pipe has closed it, like `| head`: it has what it wanted
    if (error.code === 'EPIPE') process.exit(0)
    throw error
  })
  process.stderr.on('error', () => {
    // a closed log is no reason to stop in the middle of a change, or to serve no more
  })
}
