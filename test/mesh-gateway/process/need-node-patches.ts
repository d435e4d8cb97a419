/** For a test of a change to the inside of Node: a printed skip where these are turned off. */
import {
  NO_NODE_PATCHES,
  patchesNode,
} from '../../../mesh-gateway/src/process/node-internals/switch.ts'

/** To be called in `before`, or at the top of a test. */
export function needNodePatches(context: Mocha.Context): void {
  if (patchesNode()) return
  process.stderr.write(`skipped: ${NO_NODE_PATCHES} turns off what this tests\n`)
  context.skip()
}
