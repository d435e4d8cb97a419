#!/usr/bin/env node
/** The entry point of the command mesh-agent. Nothing else in this package ends the process or sets its exit code. */
import { runCommand } from './run-command.ts'
import { openTerminal } from './terminal.ts'

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // the reader of the pipe has closed it, like `| head`: it has what it wanted
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})
process.stderr.on('error', () => {
  // a closed log is no reason to stop
})
process.exitCode = await runCommand(process.argv.slice(2), openTerminal(process))
