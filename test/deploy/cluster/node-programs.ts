/** containerd of Debian with its CNI plugins, kubelet, kube-proxy for Services, and kube-router as the firewall. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Access } from '../api-server/control-plane.ts'
import type { Programs } from '../api-server/programs.ts'
import { NODE_ADDRESS } from '../policies/addresses.ts'
import { goTool } from '../tools/go-tool.ts'
import { enter, type NodeWorld } from './node-world.ts'

export const NODE_NAME = 'node'
export const POD_RANGE = '10.244.0.0/24'
export const CLUSTER_DNS = '10.96.0.10'
/** Until a changed ConfigMap or Secret is in the pods. */
export const SWAPPED = { withinMs: 240_000, everyMs: 1_000 }
const PAUSE = 'localhost/pause:1'

export interface Containerd {
  /** `ctr -n k8s.io …` */
  ctr(...args: readonly string[]): string
  /** Every container, at once, when the kubelet has ended. */
  removeAll(): void
}

export function startContainerd(world: NodeWorld, programs: Programs): Containerd {
  const at = (name: string) => join(world.dir, name)
  mkdirSync(at('cni'))
  writeFileSync(at('cni/10-bridge.conflist'), JSON.stringify(NETWORK))
  writeFileSync(at('containerd.toml'), containerdConfig(world.dir))
  programs.start('containerd', 'containerd', ['--config', at('containerd.toml')])
  const ctr = (...args: readonly string[]) => {
    const [program = '', ...words] = [...enter('node'), 'ctr', '-a', at('c.sock'), '-n', 'k8s.io']
    return execFileSync(program, [...words, ...args], { encoding: 'utf8', stdio: 'pipe' })
  }
  return {
    ctr,
    removeAll() {
      const names = (...args: readonly string[]) =>
        ctr(...args, '--quiet')
          .split('\n')
          .filter((name) => name !== '')
      // one that ends meanwhile cannot be deleted, and is gone
      for (const task of names('tasks', 'list'))
        tryTo(() => ctr('tasks', 'delete', '--force', task))
      for (const container of names('containers', 'list'))
        tryTo(() => ctr('containers', 'delete', container))
      const left = names('tasks', 'list')
      if (left.length > 0) throw new Error(`these tasks are not gone: ${left.join()}`)
    },
  }
}

function tryTo(act: () => unknown): void {
  try {
    act()
  } catch {
    // what is left is told
  }
}

/** Loads an archive of an image under its name and, as a registry would, under `name@digest`. */
export function importImage({ ctr }: Containerd, archive: string, reference: string): string {
  ctr('images', 'import', archive)
  const line = ctr('images', 'list')
    .split('\n')
    .find((each) => each.startsWith(`${reference} `))
  const digest = /sha256:[0-9a-f]{64}/.exec(line ?? '')?.[0]
  if (digest === undefined) throw new Error(`there is no ${reference} in ${archive}`)
  ctr('images', 'tag', reference, `${reference.replace(/:[^:/]*$/, '')}@${digest}`)
  return digest
}

/** The image that holds the network of a pod, as containerd asks for it: one static program of ours. */
export async function importPause(world: NodeWorld, containerd: Containerd): Promise<void> {
  const { makePauseArchive } = await import('./pause-image.ts')
  importImage(containerd, await makePauseArchive(world.dir, PAUSE), PAUSE)
}

export async function startNode(
  world: NodeWorld,
  programs: Programs,
  { kubeconfig }: Access,
): Promise<void> {
  const at = (name: string) => join(world.dir, name)
  writeFileSync(at('resolv.conf'), '')
  writeFileSync(at('kubelet.json'), JSON.stringify(kubeletConfig(world)))
  programs.start('kubelet', goTool('kubelet'), [
    `--config=${at('kubelet.json')}`,
    `--kubeconfig=${kubeconfig}`,
    `--hostname-override=${NODE_NAME}`,
    `--node-ip=${NODE_ADDRESS}`,
  ])
  programs.start('kube-proxy', goTool('kube-proxy'), [
    ...[`--kubeconfig=${kubeconfig}`, `--hostname-override=${NODE_NAME}`],
    ...['--proxy-mode=iptables', `--cluster-cidr=${POD_RANGE}`],
    // these are settings of the whole machine
    ...['--conntrack-max-per-core=0', '--conntrack-tcp-timeout-established=0s'],
    '--conntrack-tcp-timeout-close-wait=0s',
  ])
}

export async function startFirewall(programs: Programs, { kubeconfig }: Access): Promise<void> {
  programs.start('kube-router', goTool('kube-router'), [
    ...[`--kubeconfig=${kubeconfig}`, `--hostname-override=${NODE_NAME}`],
    ...['--run-firewall=true', '--run-router=false', '--run-service-proxy=false'],
    '--service-cluster-ip-range=10.96.0.0/16',
  ])
}

const NETWORK = {
  cniVersion: '1.0.0',
  name: 'pods',
  plugins: [
    {
      ...{ type: 'bridge', bridge: 'cni0', isGateway: true, hairpinMode: true, ipMasq: false },
      ipam: {
        ...{ type: 'host-local', ranges: [[{ subnet: POD_RANGE }]] },
        routes: [{ dst: '0.0.0.0/0' }],
      },
    },
  ],
}

function containerdConfig(dir: string): string {
  return `version = 2
root = "${dir}/containerd"
state = "${dir}/containerd-run"
[grpc]
  address = "${dir}/c.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${PAUSE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  enable_unprivileged_ports = true
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "${dir}/cni"
`
}

function kubeletConfig({ dir, cgroupRoot }: NodeWorld): object {
  return {
    ...{ apiVersion: 'kubelet.config.k8s.io/v1beta1', kind: 'KubeletConfiguration' },
    containerRuntimeEndpoint: `unix://${dir}/c.sock`,
    ...{ cgroupRoot, cgroupDriver: 'cgroupfs', failCgroupV1: false, enforceNodeAllocatable: [] },
    ...{ oomScoreAdj: 0, localStorageCapacityIsolation: false, failSwapOn: false },
    ...{
      clusterDNS: [CLUSTER_DNS],
      clusterDomain: 'cluster.local',
      resolvConf: `${dir}/resolv.conf`,
    },
    // the API server has no certificate that it could know
    ...{ authentication: { anonymous: { enabled: true }, webhook: { enabled: false } } },
    authorization: { mode: 'AlwaysAllow' },
    evictionHard: {
      ...{ 'imagefs.available': '0%', 'nodefs.available': '0%', 'memory.available': '1Mi' },
      ...{ 'nodefs.inodesFree': '0%', 'imagefs.inodesFree': '0%' },
    },
    imageGCHighThresholdPercent: 100,
    // the readiness of a node is told often, so that a test need not wait
    nodeStatusUpdateFrequency: '5s',
    // by default a minute, in which a changed ConfigMap or Secret reaches a pod by and by
    syncFrequency: '10s',
  }
}
