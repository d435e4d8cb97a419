/** The parts of `npm run test:deploy`, in the order in which they run. The files of a part are test/deploy/NAME/**.test.ts. */

export interface Part {
  readonly name: string
  /** Whether .ci/run runs it. */
  readonly ci: boolean
  /** The Debian packages that it needs, also those that `npm test` needs. */
  readonly packages: readonly string[]
  /** Programs of tools/tools.ts, which are built before its tests begin: a first build takes minutes. */
  readonly goTools?: readonly string[]
  /** The part is ended after so many minutes, and has failed then. */
  readonly maxMinutes: number
  /** Whether it runs in a network namespace of its own, with loopback alone. Default false. */
  readonly ownNetwork?: boolean
}

export const PARTS: readonly Part[] = [
  {
    name: 'prometheus',
    ci: true,
    packages: ['prometheus', 'prometheus-alertmanager', 'nginx-light', 'redis-server'],
    maxMinutes: 5,
  },
  {
    name: 'proxies',
    ci: true,
    packages: ['haproxy', 'nginx-light', 'libnginx-mod-stream', 'iproute2', 'curl'],
    maxMinutes: 10,
    ownNetwork: true,
  },
  { name: 'backup', ci: true, packages: ['restic'], maxMinutes: 4 },
  { name: 'keys', ci: true, packages: ['softhsm2', 'opensc'], maxMinutes: 8 },
  {
    name: 'segmentation',
    ci: true,
    packages: ['nftables', 'iptables', 'iproute2', 'ulogd2', 'ulogd2-json', 'python3', 'curl'],
    maxMinutes: 5,
  },
  {
    name: 'systemd',
    ci: true,
    packages: ['systemd-container', 'debootstrap', 'util-linux'],
    maxMinutes: 10,
  },
  {
    name: 'image',
    ci: true,
    packages: ['docker.io', 'podman', 'runc', 'iptables', 'iproute2'],
    maxMinutes: 10,
  },
  {
    name: 'compose',
    ci: true,
    packages: [
      ...['docker.io', 'docker-compose', 'podman', 'runc', 'iptables'],
      ...['containernetworking-plugins', 'iproute2', 'curl', 'jq'],
    ],
    maxMinutes: 20,
  },
  // figures, which are worth nothing on a busy machine
  {
    name: 'topologies',
    ci: false,
    packages: ['docker.io', 'docker-compose', 'haproxy', 'iptables', 'iproute2', 'curl'],
    maxMinutes: 20,
  },
  { name: 'console', ci: true, packages: ['chromium'], maxMinutes: 5 },
  {
    name: 'telemetry',
    // the Collector and VictoriaLogs are built from Go modules, which takes minutes
    ci: false,
    packages: [
      ...['rsyslog', 'rsyslog-elasticsearch', 'logrotate'],
      ...['nftables', 'iproute2', 'ulogd2', 'ulogd2-json', 'python3'],
    ],
    goTools: ['otel-collector', 'victoria-logs'],
    maxMinutes: 45,
  },
  { name: 'chart', ci: true, packages: ['python3-venv'], maxMinutes: 15 },
  // it reads definitions out of Go modules, and so needs Go
  { name: 'crds', ci: false, packages: [], maxMinutes: 10 },
  // its programs are built from Go modules first: twelve minutes of two cores
  {
    name: 'api-server',
    ci: false,
    packages: ['etcd-server', 'iproute2', 'openssl'],
    goTools: ['kube-apiserver'],
    maxMinutes: 90,
    ownNetwork: true,
  },
  {
    name: 'cluster',
    ci: false,
    packages: [
      ...['containerd', 'runc', 'containernetworking-plugins', 'etcd-server'],
      ...['iptables', 'ipset', 'iproute2', 'conntrack', 'openssl'],
    ],
    goTools: [
      ...['kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kubelet', 'kube-proxy'],
      ...['kube-router', 'pause', 'cert-manager', 'trust-manager', 'cyclonus'],
    ],
    maxMinutes: 120,
  },
  // its judge is built from Go modules first: a minute and a half of two cores
  { name: 'policies', ci: false, packages: [], goTools: ['cyclonus'], maxMinutes: 60 },
]
