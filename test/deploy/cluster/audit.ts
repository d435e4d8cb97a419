/** The audit log of a gateway, which is what its pod prints. */
import type { Cluster } from './cluster.ts'
import type { PodPlace } from './pods.ts'

export type AuditRecord = Readonly<Record<string, unknown>>

export async function auditOf(
  { kubectl }: Pick<Cluster, 'kubectl'>,
  { namespace, name }: PodPlace,
): Promise<readonly AuditRecord[]> {
  const lines = (await kubectl('logs', '-n', namespace, name)).split('\n')
  return lines.flatMap((line) => {
    if (!line.startsWith('{')) return []
    const record: unknown = JSON.parse(line)
    return isRecord(record) && record.event === 'egress' ? [record] : []
  })
}

function isRecord(value: unknown): value is AuditRecord {
  return typeof value === 'object' && value !== null
}
