#!/usr/bin/env node
/** The command mesh-gateway. Nothing else in this package ends the process or sets its exit code. */

import { endProcess, openTerminal } from '../process/terminal.ts'
import { widenThreadPool } from '../process/thread-pool.ts'
import { runCommand } from './run-command.ts'

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // the reader of a pipe has gone, as `| head` does: what it wanted it has
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})
process.stderr.on('error', () => {
  // nobody listens to the log any more: no reason for a gateway to stop
})
widenThreadPool(process.env)
process.exitCode = await runCommand(process.argv.slice(2), openTerminal(process))
// what is left open by now must not keep the process: unref'd, it fires only when something does
setTimeout(() => endProcess(process), 1000).unref()
