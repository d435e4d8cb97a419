#!/usr/bin/env node
/** The entry point of the command mesh-gateway. Nothing else in this package ends the process or sets its exit code. */

import { outliveClosedOutput } from '@clawmesh/proto/command-line'
import { endProcess, openTerminal } from '../process/terminal.ts'
import { widenThreadPool } from '../process/thread-pool.ts'
import { runCommand } from './run-command.ts'

outliveClosedOutput(process)
widenThreadPool(process.env)
process.exitCode = await runCommand(process.argv.slice(2), openTerminal(process))
// open handles must not keep the process; unref'd, so it fires only if there are some
setTimeout(() => endProcess(process), 1000).unref()
