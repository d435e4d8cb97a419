import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { type Agent, silentLog } from '@clawmesh/agent-sdk'
import { freePort } from '../../../scripts/dev/free-ports.ts'
import { waitFor } from '../../support/wait-for.ts'
import { type StandInMesh, startStandInMesh } from '../stand-in/mesh.ts'

describe('an agent that has not reached its gateway', () => {
  let mesh: StandInMesh
  let silent: Server
  const agents: Agent[] = []
  before(async () => {
    mesh = await startStandInMesh()
    // TCP stands, and nothing comes back: as behind a firewall
    silent = createServer((socket) => void socket.on('error', () => {}).resume())
    silent.listen(0, '127.0.0.1')
    await once(silent, 'listening')
  })
  after(async () => {
    for (const agent of agents) await agent.close()
    silent.close()
    await mesh.close()
  })

  async function lost(port: number) {
    const heard: { fields: object; message: string }[] = []
    const agent = await mesh.agent(`lost-${port}`, {
      gateway: `127.0.0.1:${port}`,
      log: { ...silentLog, warn: (fields, message) => void heard.push({ fields, message }) },
    })
    agents.push(agent)
    const told = () => heard.find(({ message }) => message.includes('so far'))
    return { agent, told: () => waitFor('the warning', told) }
  }

  it('warns while its calls are still tried, with the address and the cause', async () => {
    const port = await freePort()
    const { agent, told } = await lost(port)
    const call = agent.whoAmI().catch((error: unknown) => error)
    const { fields, message } = await told()
    assert.match(
      message,
      new RegExp(
        `^the gateway 127\\.0\\.0\\.1:${port} has not been reached so far: .*ECONNREFUSED`,
      ),
    )
    assert.ok('code' in fields && fields.code === 'MESH_GATEWAY_UNREACHABLE')
    await call
  })

  it('says so, too, of an address that takes connections and never answers', async () => {
    const { port } = silent.address() as AddressInfo
    const { agent, told } = await lost(port)
    const call = agent.whoAmI().catch((error: unknown) => error)
    assert.match((await told()).message, /has not been reached so far: it does not answer$/)
    await agent.close()
    await call
    const open = () =>
      new Promise<boolean>((resolve) =>
        silent.getConnections((_error, count) => resolve(count === 0)),
      )
    await waitFor('the end of the connection', open)
  })
})
