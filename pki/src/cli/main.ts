#!/usr/bin/env node
/** The entry point of the command mesh-pki. Nothing else in this package ends the process or sets its exit code. */
import { outliveClosedOutput } from '@clawmesh/proto/command-line'
import { runCommand } from './run-command.ts'
import { openTerminal } from './terminal.ts'

outliveClosedOutput(process)
process.exitCode = await runCommand(process.argv.slice(2), openTerminal(process))
