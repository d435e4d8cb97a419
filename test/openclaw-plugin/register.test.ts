/** What goes wrong in the plugin's start is told to the operator, and ends nothing of OpenClaw. */
import assert from 'node:assert/strict'
import type { Mesh } from '../../openclaw-plugin/src/core/contract.ts'
import type { HostApi, HostService } from '../../openclaw-plugin/src/host/openclaw-types.ts'
import type { Copies } from '../../openclaw-plugin/src/process/copies.ts'
import { register } from '../../openclaw-plugin/src/register.ts'
import { waitFor } from '../support/wait-for.ts'

describe('the service of the plugin', () => {
  const serviceWith = (begin: Mesh['begin'], said: string[]): HostService => {
    const mesh: Mesh = {
      ...{ begin, release() {}, servesIn: () => false, adopt() {} },
      run: async () => ({ text: '', isError: false, details: {} }),
      ...{ guard: async () => null, close: async () => {} },
    }
    const copies: Copies = {
      ...{ build: 'x', mesh: async () => mesh, loaded: () => mesh, close: async () => {} },
      traces: { put() {}, take: () => null },
    }
    const services: HostService[] = []
    const say = (message: string) => void said.push(message)
    const api: HostApi = {
      ...{ registrationMode: 'full', source: '/x/index.js', config: {} },
      logger: { info: say, warn: say, error: say },
      runtime: {
        agent: {
          runEmbeddedAgent: async () => ({ meta: {} }),
          ...{ resolveAgentDir: () => '/x', resolveAgentWorkspaceDir: () => '/x' },
        },
      },
      registerTool() {},
      registerService: (service) => void services.push(service),
      on() {},
    }
    register(api, () => copies)
    return services[0] ?? assert.fail('no service')
  }

  it('says why it could not begin', async () => {
    const said: string[] = []
    const service = serviceWith(() => {
      throw new Error('no more file descriptors')
    }, said)
    const none = () => {}
    const logger = { info: none, warn: none, error: none }
    await service.start({ config: {}, stateDir: '/x', logger })
    await waitFor('the error', () => said.length > 0)
    assert.deepEqual(said, [
      'clawmesh: the plugin could not be started: Error: no more file descriptors',
    ])
  })
})
