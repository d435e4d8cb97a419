/** Loaded into a process by `--import`: files are opened without O_NONBLOCK, so that a named pipe keeps a thread of libuv for ever. */
import { constants } from 'node:fs'
import fs from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'

const { open } = fs
fs.open = (path, flags, mode) =>
  open(path, typeof flags === 'number' ? flags & ~constants.O_NONBLOCK : flags, mode)
syncBuiltinESMExports()
