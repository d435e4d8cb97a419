/** Controller manager and scheduler of Kubernetes. */
import { join } from 'node:path'
import type { Access } from '../api-server/control-plane.ts'
import type { Programs } from '../api-server/programs.ts'
import { goTool } from '../tools/go-tool.ts'

/** They end when the API server does not answer, so that it must be ready. */
export async function startControllers(
  dir: string,
  programs: Programs,
  { kubeconfig, caFile, accountKeyFile }: Access,
): Promise<void> {
  const at = (name: string) => join(dir, name)
  programs.start('kube-controller-manager', goTool('kube-controller-manager'), [
    `--kubeconfig=${kubeconfig}`,
    `--service-account-private-key-file=${accountKeyFile}`,
    `--root-ca-file=${caFile}`,
    '--leader-elect=false',
    '--bind-address=127.0.0.1',
    `--cert-dir=${at('controller-manager')}`,
    '--concurrent-deployment-syncs=2',
  ])
  programs.start('kube-scheduler', goTool('kube-scheduler'), [
    `--kubeconfig=${kubeconfig}`,
    '--leader-elect=false',
    '--bind-address=127.0.0.1',
    `--cert-dir=${at('scheduler')}`,
  ])
}
