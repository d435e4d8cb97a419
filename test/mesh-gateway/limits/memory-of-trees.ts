/** Heap that the budget of a tree of delegations takes: `node --expose-gc test/mesh-gateway/limits/memory-of-trees.ts [trees]`. */
import { uuidV7 } from '@clawmesh/proto'
import { createMemoryBudgets } from '../../../mesh-gateway/src/limits/budgets.ts'

const trees = Number(process.argv[2] ?? 500_000)
const heap = () => {
  globalThis.gc?.()
  return process.memoryUsage().heapUsed
}

const budgets = createMemoryBudgets({ keepMs: () => 3_600_000, maxTrees: trees * 2 })
const before = heap()
for (let n = 0; n < trees; n += 1)
  // as a string comes out of a token
  await budgets.spend(JSON.parse(JSON.stringify(uuidV7())), 10, 'acme')
const bytes = heap() - before
process.stdout.write(`${trees} trees, ${Math.round(bytes / trees)} bytes of heap each\n`)
await budgets.spend('the last one', 10, 'acme').catch(() => {})
