/** Pods of tests, of the image of deploy/image: it has Node, and no shell. */
import type { Cluster } from './cluster.ts'

export const IMAGE = 'localhost/clawmesh'

export interface PodPlace {
  readonly namespace: string
  readonly name: string
}

export interface TestPod extends PodPlace {
  /** What Node runs, as a module. */
  readonly script: string
  readonly digest: string
  readonly labels?: Readonly<Record<string, string>>
  readonly volumes?: readonly Volume[]
  /** The name of its service account. Default: that of the namespace. */
  readonly serviceAccount?: string
}

export interface Volume {
  readonly name: string
  readonly mountPath: string
  /** As in the spec of a pod. */
  readonly source: object
}

/** Listens to ports, and answers each connection with a word. */
export function listenOn(...ports: readonly number[]): string {
  return `import { createServer } from 'node:net'
for (const port of ${JSON.stringify(ports)})
  createServer((socket) => socket.on('error', () => {}).end('here')).listen(port, '0.0.0.0')
process.on('SIGTERM', () => process.exit(0))`
}

/** Makes them, and resolves when they are ready. */
export async function startPods(
  { apply, kubectl }: Pick<Cluster, 'apply' | 'kubectl'>,
  ...pods: readonly TestPod[]
): Promise<void> {
  // a controller makes it for each namespace, by and by
  for (const { namespace, serviceAccount = 'default' } of pods)
    await kubectl(
      ...['wait', '-n', namespace, `serviceaccount/${serviceAccount}`, '--for=create'],
      '--timeout=60s',
    )
  await apply(...pods.map(podOf))
  for (const { namespace, name } of pods)
    await kubectl(
      ...['wait', '-n', namespace, `pod/${name}`, '--for=condition=Ready', '--timeout=120s'],
    )
}

/** As the level `restricted` wants it. */
function podOf(pod: TestPod): object {
  const { namespace, name, script, digest, labels = {}, volumes = [] } = pod
  const { serviceAccount = 'default' } = pod
  return {
    ...{ apiVersion: 'v1', kind: 'Pod', metadata: { namespace, name, labels } },
    spec: {
      ...{ automountServiceAccountToken: false, terminationGracePeriodSeconds: 1 },
      serviceAccountName: serviceAccount,
      securityContext: {
        ...{ runAsNonRoot: true, runAsUser: 65532, runAsGroup: 65532, fsGroup: 65532 },
        seccompProfile: { type: 'RuntimeDefault' },
      },
      containers: [
        {
          ...{ name: 'it', image: `${IMAGE}@${digest}`, imagePullPolicy: 'Never' },
          command: ['/usr/bin/node', '--input-type=module', '--eval', script],
          securityContext: {
            ...{ allowPrivilegeEscalation: false, readOnlyRootFilesystem: true },
            capabilities: { drop: ['ALL'] },
          },
          resources: {
            requests: { cpu: '10m', memory: '64Mi' },
            limits: { cpu: '1', memory: '256Mi' },
          },
          volumeMounts: volumes.map(({ name: volume, mountPath }) => ({ name: volume, mountPath })),
        },
      ],
      volumes: volumes.map(({ name: volume, source }) => ({ name: volume, ...source })),
    },
  }
}

/** Runs a module in a pod, and answers what it prints. @throws Error with its stderr */
export function nodeIn(
  { kubectl }: Pick<Cluster, 'kubectl'>,
  { namespace, name }: PodPlace,
  script: string,
  ...args: readonly string[]
): Promise<string> {
  const command = ['/usr/bin/node', '--input-type=module', '--eval', script, '--', ...args]
  return kubectl('exec', '-n', namespace, name, '--', ...command)
}

/** The text of a file in a pod. */
export function fileIn(
  cluster: Pick<Cluster, 'kubectl'>,
  pod: PodPlace,
  path: string,
): Promise<string> {
  const script = `import { readFileSync } from 'node:fs'
process.stdout.write(readFileSync(process.argv[1], 'utf8'))`
  return nodeIn(cluster, pod, script, path)
}

export async function addressOf(
  { kubectl }: Pick<Cluster, 'kubectl'>,
  pod: PodPlace,
): Promise<string> {
  const path = ['-o', 'jsonpath={.status.podIP}']
  return kubectl('get', 'pod', '-n', pod.namespace, pod.name, ...path)
}
