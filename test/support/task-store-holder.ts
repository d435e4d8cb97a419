/** Holds the file of a task store until it is killed. */
import { createSqliteTaskStore } from '@clawmesh/agent-sdk'

const store = createSqliteTaskStore({ file: process.argv[2] ?? '' })
const what = { idempotencyKey: null, contentHash: 'h', skill: 's', labels: {}, inputBytes: 0 }
const when = { createdMs: Date.now(), deadlineMs: null, detached: false, tree: null }
store.create({ caller: 'holder', id: 'task', ...what, ...when, beginning: null })
store.flush()
process.send?.('holding')
// waits for messages that never come: it ends with its parent
process.on('message', () => {})
