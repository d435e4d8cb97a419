/** The programs that tests of deploy build from Go modules. helm-and-kubectl.ts has those that need no build. */
import { KUBERNETES } from './helm-and-kubectl.ts'

export interface GoTool {
  /** The package of its main. */
  readonly package: string
  /** The directory of its module, below this one. Default: this one. */
  readonly module?: string
  /** Variables of packages, for `go build -ldflags -X`. */
  readonly set: Readonly<Record<string, string>>
}

const [MAJOR = '', MINOR = ''] = KUBERNETES.split('.')

export const TOOLS: Readonly<Record<string, GoTool>> = {
  'kube-apiserver': ofKubernetes('kube-apiserver'),
  'kube-controller-manager': ofKubernetes('kube-controller-manager'),
  'kube-scheduler': ofKubernetes('kube-scheduler'),
  'kube-proxy': ofKubernetes('kube-proxy'),
  kubelet: ofKubernetes('kubelet'),
  // of another k8s.io than the others
  'kube-router': {
    ...{
      module: 'kube-router',
      package: 'github.com/cloudnativelabs/kube-router/v2/cmd/kube-router',
    },
    set: {},
  },
  pause: { package: './pause', set: {} },
  'cert-manager': { module: 'cert-manager', package: '.', set: {} },
  // of another k8s.io than cert-manager
  'trust-manager': {
    ...{
      module: 'trust-manager',
      package: 'github.com/cert-manager/trust-manager/cmd/trust-manager',
    },
    set: {},
  },
  cyclonus: {
    ...{ module: 'cyclonus', package: 'github.com/mattfenwick/cyclonus/cmd/cyclonus' },
    set: {},
  },
  'otel-collector': { module: 'otel-collector', package: '.', set: {} },
  'victoria-logs': {
    module: 'victoria-logs',
    package: 'github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs',
    set: {},
  },
}

function ofKubernetes(command: string): GoTool {
  return {
    package: `k8s.io/kubernetes/cmd/${command}`,
    set: of(['k8s.io/component-base/version', 'k8s.io/client-go/pkg/version'], {
      ...{ gitVersion: `v${KUBERNETES}`, gitMajor: MAJOR, gitMinor: MINOR },
    }),
  }
}

function of(
  packages: readonly string[],
  variables: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  return Object.fromEntries(
    packages.flatMap((name) =>
      Object.entries(variables).map(([key, value]) => [`${name}.${key}`, value]),
    ),
  )
}
