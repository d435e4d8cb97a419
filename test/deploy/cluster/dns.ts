/** DNS of the cluster, as small as it can be: names of Services that are written down here, and no way out. */
import { SERVICE_ADDRESS, SERVICE_NAME } from '../api-server/control-plane.ts'
import { RESEARCHER_ADDRESS } from './agents.ts'
import type { Cluster } from './cluster.ts'
import { CLUSTER_DNS } from './node-programs.ts'
import { listenOn, type PodPlace, startPods } from './pods.ts'

export const DNS_POD: PodPlace = { namespace: 'kube-system', name: 'dns' }
const LABELS = { 'k8s-app': 'kube-dns' }
const ADDRESSES = {
  [SERVICE_NAME]: SERVICE_ADDRESS,
  'researcher.acme.mesh.internal': RESEARCHER_ADDRESS,
}

/** RFC 1035: one question, and an A record of five seconds for it or no such name. */
const SERVER = `import { createSocket } from 'node:dgram'
const addresses = ${JSON.stringify(ADDRESSES)}
const socket = createSocket('udp4')
socket.on('message', (query, from) => {
  const labels = []
  let at = 12
  for (; query[at] > 0; at += 1 + query[at]) labels.push(query.toString('latin1', at + 1, at + 1 + query[at]))
  const address = addresses[labels.join('.').toLowerCase()]
  const found = address !== undefined && query.readUInt16BE(at + 1) === 1
  const head = Buffer.alloc(12)
  query.copy(head, 0, 0, 2)
  head.writeUInt16BE(address === undefined ? 0x8583 : 0x8580, 2)
  head.writeUInt16BE(1, 4)
  head.writeUInt16BE(found ? 1 : 0, 6)
  const record = found ? [...Buffer.from('c00c00010001000000050004', 'hex'), ...address.split('.').map(Number)] : []
  socket.send(Buffer.concat([head, query.subarray(12, at + 5), Buffer.from(record)]), from.port, from.address)
}).bind(53)`

/** TCP is there for the table of who reaches whom. */
export async function startDns(cluster: Cluster, digest: string): Promise<void> {
  const { namespace } = DNS_POD
  const script = `${listenOn(53)}\n${SERVER}`
  await startPods(cluster, { ...DNS_POD, labels: LABELS, digest, script })
  await cluster.apply({
    ...{ apiVersion: 'v1', kind: 'Service', metadata: { namespace, name: 'kube-dns' } },
    spec: {
      ...{ clusterIP: CLUSTER_DNS, selector: LABELS },
      ports: ['UDP', 'TCP'].map((protocol) => ({
        ...{ name: protocol.toLowerCase(), protocol, port: 53 },
      })),
    },
  })
}
