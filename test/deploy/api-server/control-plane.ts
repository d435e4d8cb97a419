/** etcd of Debian, and the API server of Kubernetes, with an administrator. */
import { execFileSync } from 'node:child_process'
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { NODE_ADDRESS } from '../policies/addresses.ts'
import { goTool } from '../tools/go-tool.ts'
import { NAMESPACE } from './commands.ts'
import type { Programs } from './programs.ts'

export const SERVICE_RANGE = '10.96.0.0/16'
/** The first one of the range: that of the API server within the cluster. */
export const SERVICE_ADDRESS = '10.96.0.1'
export const SERVICE_NAME = 'kubernetes.default.svc.cluster.local'
export const SERVICE_ISSUER = `https://${SERVICE_NAME}`

export interface Access {
  /** A kubeconfig of an administrator. */
  readonly kubeconfig: string
  /** PEM: signs the certificate of the API server. */
  readonly caFile: string
  /** PEM: signs tokens of service accounts. */
  readonly accountKeyFile: string
}

/** Starts etcd and the API server, which is not ready yet, at NODE_ADDRESS. */
export async function startApiServer(
  dir: string,
  programs: Programs,
  port = 6443,
): Promise<Access> {
  const at = (name: string) => join(dir, name)
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  writeFileSync(at('sa.key'), privateKey.export({ type: 'pkcs1', format: 'pem' }), { mode: 0o600 })
  writeFileSync(at('sa.pub'), publicKey.export({ type: 'spki', format: 'pem' }))
  const token = randomBytes(24).toString('hex')
  writeFileSync(at('tokens.csv'), `${token},admin,admin,"system:masters"\n`, { mode: 0o600 })
  const [caFile, keyFile] = [at('apiserver.crt'), at('apiserver.key')]
  makeCertificate(caFile, keyFile)
  const kubeconfig = at('kubeconfig')
  const server = `https://${NODE_ADDRESS}:${port}`
  writeFileSync(kubeconfig, JSON.stringify(kubeconfigOf(server, caFile, token)), { mode: 0o600 })

  const etcd = 'http://127.0.0.1:2379'
  programs.start('etcd', 'etcd', [
    ...['--data-dir', at('etcd'), '--listen-client-urls', etcd, '--advertise-client-urls', etcd],
    ...['--listen-peer-urls', 'http://127.0.0.1:2380'],
  ])
  programs.start('kube-apiserver', goTool('kube-apiserver'), [
    `--etcd-servers=${etcd}`,
    `--advertise-address=${NODE_ADDRESS}`,
    ...[`--bind-address=${NODE_ADDRESS}`, `--secure-port=${port}`],
    ...[`--tls-cert-file=${caFile}`, `--tls-private-key-file=${keyFile}`],
    `--token-auth-file=${at('tokens.csv')}`,
    '--authorization-mode=Node,RBAC',
    // nobody resolves the name of the node
    '--kubelet-preferred-address-types=InternalIP',
    `--service-cluster-ip-range=${SERVICE_RANGE}`,
    `--service-account-issuer=${SERVICE_ISSUER}`,
    `--service-account-key-file=${at('sa.pub')}`,
    `--service-account-signing-key-file=${at('sa.key')}`,
  ])
  return { kubeconfig, caFile, accountKeyFile: at('sa.key') }
}

/** With the names that installers of Kubernetes give it. One that the API server makes itself lacks the whole name. */
function makeCertificate(certFile: string, keyFile: string): void {
  const names = ['kubernetes', 'kubernetes.default', 'kubernetes.default.svc', SERVICE_NAME]
  const addresses = [NODE_ADDRESS, SERVICE_ADDRESS]
  const alternative = [
    ...names.map((each) => `DNS:${each}`),
    ...addresses.map((each) => `IP:${each}`),
  ]
  execFileSync(
    'openssl',
    [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-noenc'],
      ...['-keyout', keyFile, '-out', certFile, '-days', '2', '-subj', '/CN=kubernetes'],
      ...['-addext', `subjectAltName=${alternative.join()}`],
    ],
    { stdio: 'pipe' },
  )
}

function kubeconfigOf(server: string, caFile: string, token: string): object {
  return {
    ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'it' },
    clusters: [{ name: 'it', cluster: { server, 'certificate-authority': caFile } }],
    users: [{ name: 'it', user: { token } }],
    // where the charts go, when nothing else is said
    contexts: [{ name: 'it', context: { cluster: 'it', user: 'it', namespace: NAMESPACE } }],
  }
}
