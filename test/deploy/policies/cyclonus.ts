/** cyclonus, which judges NetworkPolicies as they are written, without a cluster. */
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { goTool } from '../tools/go-tool.ts'
import { OUTSIDE_ADDRESS } from './addresses.ts'
import { DESTINATIONS, PLACES, SOURCES, type Table, tableOf } from './who-reaches-whom.ts'

/** The table of who reaches whom with these NetworkPolicies. */
export async function judgeByCyclonus(policies: readonly object[]): Promise<Table> {
  const dir = await mkdtemp(join(tmpdir(), 'cyclonus-'))
  try {
    const list = { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicyList', items: policies }
    await writeFile(join(dir, 'policies.json'), JSON.stringify(list))
    const asked = SOURCES.flatMap((source) =>
      DESTINATIONS.map((to) => ({
        ...{ Source: peerOf(source), Destination: peerOf(to.at) },
        ...{ ResolvedPort: to.port, ResolvedPortName: '', Protocol: 'TCP' },
      })),
    )
    await writeFile(join(dir, 'traffic.json'), JSON.stringify(asked))
    const { stdout } = await promisify(execFile)(
      goTool('cyclonus'),
      [
        ...['analyze', '--mode', 'query-traffic', '--policy-path', join(dir, 'policies.json')],
        ...['--traffic-path', join(dir, 'traffic.json')],
      ],
      { maxBuffer: 64 * 1024 * 1024 },
    )
    const said = [...stdout.matchAll(/is allowed\?\s*\|\s*(true|false)/gi)].map(([, word]) => word)
    if (said.length !== asked.length) throw new Error(`${said.length} answers: ${stdout}`)
    return tableOf((source, to) => {
      const at = SOURCES.indexOf(source) * DESTINATIONS.length + DESTINATIONS.indexOf(to)
      return said[at]?.toLowerCase() === 'true' ? 'open' : 'closed'
    })
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

function peerOf(name: string): object {
  const place = PLACES[name]
  if (place === undefined) return { IP: name === 'outside' ? OUTSIDE_ADDRESS : name }
  const { namespace, labels } = place
  return {
    // within the range of pods, which no rule by address lets through
    IP: `10.244.0.${10 + Object.keys(PLACES).indexOf(name)}`,
    Internal: {
      ...{ PodLabels: labels, Namespace: namespace },
      NamespaceLabels: { 'kubernetes.io/metadata.name': namespace },
    },
  }
}
