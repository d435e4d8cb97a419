#!/usr/bin/env node
/** The entry point of the command mesh-gateway. Nothing else in this package ends the process or sets its exit code. */

import { endProcess, openTerminal } from '../process/terminal.ts'
import { widenThreadPool } from '../process/thread-pool.ts'
import { runCommand } from './run-command.ts'

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // the reader of the pipe has closed it, like `| head`: it has what it wanted
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})
process.stderr.on('error', () => {
  // a closed log is no reason for a gateway to stop
})
widenThreadPool(process.env)
process.exitCode = await runCommand(process.argv.slice(2), openTerminal(process))
// open handles must not keep the process; unref'd, so it fires only if there are some
setTimeout(() => endProcess(process), 1000).unref()
