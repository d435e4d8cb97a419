/** mesh_delegate: gives a task to a peer and waits for its result. The task is detached, so it survives this gateway. */
import { asArguments, DELEGATE_FIELDS, readFields } from '@clawmesh/proto/tools'
import { contentOf } from './content.ts'
import type { RunTool } from './tool-call.ts'
import { waitForTask } from './wait-for-task.ts'

export const delegateTool: RunTool = async (given, call) => {
  const { peer, skill, input, key, wait_seconds: waitSeconds } = readFields(DELEGATE_FIELDS, given)
  const delegation = asArguments(() =>
    call.caller.delegate(peer, {
      ...{ skill, detached: true, artifacts: 'stream' },
      ...(input === undefined ? {} : { input: contentOf(input) }),
      ...(key === undefined ? {} : { idempotencyKey: key }),
    }),
  )
  return waitForTask(delegation, { skill, waitSeconds, cancels: true }, call)
}
