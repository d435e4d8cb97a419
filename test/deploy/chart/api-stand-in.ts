/**
 * An API server that knows some objects and nothing else, for what a chart looks up: discovery, and GET of ConfigMaps
 * and Namespaces. It keeps what would change something.
 */
import { createServer } from 'node:http'
import { closeServer, listenOnFreePort } from '../../support/http-origin.ts'
import type { KubeObject } from './helm.ts'

export interface ApiStandIn {
  readonly url: string
  /** Requests other than GET. */
  readonly changes: readonly string[]
  close(): Promise<void>
}

const resource = (name: string, kind: string, namespaced: boolean) => ({
  ...{ name, singularName: '', kind, namespaced },
  verbs: ['get', 'list', 'create'],
})

/** @param objects by their path, such as /api/v1/namespaces/acme */
export async function startApiStandIn(
  objects: Readonly<Record<string, KubeObject>>,
): Promise<ApiStandIn> {
  const answers: Readonly<Record<string, object>> = {
    '/version': { major: '1', minor: '36', gitVersion: 'v1.36.3' },
    '/api': { kind: 'APIVersions', versions: ['v1'] },
    '/apis': { kind: 'APIGroupList', apiVersion: 'v1', groups: [] },
    '/api/v1': {
      ...{ kind: 'APIResourceList', groupVersion: 'v1' },
      resources: [
        resource('configmaps', 'ConfigMap', true),
        resource('namespaces', 'Namespace', false),
      ],
    },
    ...objects,
  }
  const changes: string[] = []
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '', 'http://stand-in')
    if (request.method !== 'GET') changes.push(`${request.method} ${pathname}`)
    const answer = answers[pathname]
    const absent = { kind: 'Status', apiVersion: 'v1', status: 'Failure', code: 404 }
    response.writeHead(answer === undefined ? 404 : 200, { 'content-type': 'application/json' })
    response.end(JSON.stringify(answer ?? { ...absent, reason: 'NotFound' }))
  })
  const port = await listenOnFreePort(server)
  return {
    url: `http://127.0.0.1:${port}`,
    changes,
    close: () => closeServer(server),
  }
}
