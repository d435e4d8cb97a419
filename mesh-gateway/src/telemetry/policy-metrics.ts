/** Which policy files are broken, so that an alert can name the tenant. */
import { Gauge, type Registry } from 'prom-client'
import type { Metrics } from './metrics-port.ts'

/** Files that are named one by one; how many there are is told of all. */
const NAMED = 100

export function createPolicyMetrics(registry: Registry): Metrics['brokenPolicy'] {
  const registers = [registry]
  const total = new Gauge({
    name: 'clawmesh_policy_files_broken',
    help: 'Policy files of which the last good version, or nothing, is in force',
    aggregator: 'max',
    registers,
  })
  const broken = new Gauge({
    name: 'clawmesh_policy_file_broken',
    help: '1 of a policy file that is broken; of at most 100 files',
    labelNames: ['file'] as const,
    aggregator: 'max',
    registers,
  })
  return (files) => {
    total.set(files.length)
    broken.reset()
    for (const file of files.slice(0, NAMED)) broken.set({ file }, 1)
  }
}
