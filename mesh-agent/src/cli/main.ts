#!/usr/bin/env node
/** The entry point of the command mesh-agent. Nothing else in this package ends the process or sets its exit code. */
export {}
