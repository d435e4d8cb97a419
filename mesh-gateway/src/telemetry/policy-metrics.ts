/** Metrics of broken policy files, so that an alert can name the tenant. */
import { Gauge, type Registry } from 'prom-client'
import type { Metrics } from './metrics-port.ts'

/** Maximum files that are named; their total number is always reported. */
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
