/** The server and the client of @a2a-js/sdk as they are, with certificates of the mesh: nothing of ours on either side. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { checkServerIdentity } from 'node:tls'
import {
  type AgentCard,
  type Message,
  Role,
  type SendMessageRequest,
  type Task,
  TaskState,
} from '@a2a-js/sdk'
import { type Client, ClientFactory } from '@a2a-js/sdk/client'
import { GrpcTransportFactory } from '@a2a-js/sdk/client/grpc'
import {
  AgentEvent,
  type AgentExecutor,
  DefaultRequestHandler,
  InMemoryTaskStore,
} from '@a2a-js/sdk/server'
import { A2AService, grpcService, UserBuilder } from '@a2a-js/sdk/server/grpc'
import * as grpc from '@grpc/grpc-js'
import { type Mesh, startMesh } from '../support/mesh.ts'

const METHODS = ['lf.a2a.v1.A2AService/*']

describe('A2A rides the mesh unmodified', () => {
  let mesh: Mesh
  let server: grpc.Server
  let client: Client
  let seenDelegation: string[] = []

  before(async () => {
    mesh = await startMesh({
      policy: {
        acme: {
          delegation: { allow: [{ from: 'asker', to: 'a2a-agent', methods: METHODS }] },
        },
      },
    })
    server = await startA2aServer(mesh, (caller) => seenDelegation.push(caller))
    client = await a2aClient(mesh, 'asker')
  })
  after(async () => {
    server.forceShutdown()
    await mesh.close()
  })

  it('sends a message and gets the finished task, under policy and audit', async () => {
    const answer = await client.sendMessage(request('hello'))
    assert.ok('id' in answer)
    assert.equal(answer.status?.state, TaskState.TASK_STATE_COMPLETED)
    assert.deepEqual(textOf(answer), 'echo: hello')
    assert.deepEqual(seenDelegation, ['spiffe://mesh.internal/tenant/acme/agent/asker'])
    seenDelegation = []
    const line = await mesh.auditLine('of SendMessage', (record) =>
      String(record.grpc_method).endsWith('/SendMessage'),
    )
    assert.equal(line.action_allowed, true)
    // it starts a task, so it begins a chain of delegation
    assert.equal(line.hop, 1)
  })

  it('streams the events of a task', async () => {
    const cases: string[] = []
    for await (const event of client.sendMessageStream(request('stream')))
      cases.push(event.payload?.$case ?? 'nothing')
    assert.equal(cases[0], 'task')
    assert.ok(cases.includes('artifactUpdate'))
    assert.equal(cases.at(-1), 'statusUpdate')
  })

  it('gets a task, and cancels one that runs', async () => {
    let id = ''
    for await (const event of client.sendMessageStream(request('wait'))) {
      if (event.payload?.$case === 'task') id = event.payload.value.id
      if (event.payload?.$case !== 'statusUpdate') continue
      if (event.payload.value.status?.state !== TaskState.TASK_STATE_WORKING) continue
      const running = await client.getTask({ id, tenant: '', historyLength: undefined })
      assert.equal(running.status?.state, TaskState.TASK_STATE_WORKING)
      await client.cancelTask({ id, tenant: '', metadata: undefined })
    }
    const ended = await client.getTask({ id, tenant: '', historyLength: undefined })
    assert.equal(ended.status?.state, TaskState.TASK_STATE_CANCELED)
  })

  it('is refused where policy does not allow it', async () => {
    const other = await a2aClient(mesh, 'stranger')
    await assert.rejects(other.sendMessage(request('hello')))
    const line = await mesh.auditLine('of the refusal', (record) => record.agent_id === 'stranger')
    assert.equal(line.reason, 'MESH_POLICY_NOT_ALLOWED')
  })
})

function request(text: string): SendMessageRequest {
  return {
    tenant: '',
    message: message(Role.ROLE_USER, text),
    configuration: undefined,
    metadata: undefined,
  }
}

function message(role: Role, text: string): Message {
  return {
    messageId: crypto.randomUUID(),
    contextId: '',
    taskId: '',
    role,
    parts: [
      { content: { $case: 'text', value: text }, metadata: undefined, filename: '', mediaType: '' },
    ],
    metadata: undefined,
    extensions: [],
    referenceTaskIds: [],
  }
}

function textOf(task: Task): string {
  const content = task.artifacts[0]?.parts[0]?.content
  return content?.$case === 'text' ? content.value : ''
}

/** Echoes; the text `wait` waits until it is cancelled. */
function executor(): AgentExecutor {
  const waiting = new Map<string, () => void>()
  return {
    async execute(context, bus) {
      const { taskId, contextId, userMessage } = context
      const content = userMessage.parts[0]?.content
      const text = content?.$case === 'text' ? content.value : ''
      const status = (state: TaskState) => ({ state, message: undefined, timestamp: undefined })
      const about = { taskId, contextId, metadata: undefined }
      bus.publish(
        AgentEvent.task({
          id: taskId,
          contextId,
          status: status(TaskState.TASK_STATE_SUBMITTED),
          artifacts: [],
          history: [userMessage],
          metadata: undefined,
        }),
      )
      if (text === 'wait') {
        const cancelled = new Promise<void>((resolve) => waiting.set(taskId, resolve))
        bus.publish(
          AgentEvent.statusUpdate({ ...about, status: status(TaskState.TASK_STATE_WORKING) }),
        )
        await cancelled
        bus.publish(
          AgentEvent.statusUpdate({ ...about, status: status(TaskState.TASK_STATE_CANCELED) }),
        )
      } else {
        const { parts } = message(Role.ROLE_AGENT, `echo: ${text}`)
        const named = { name: 'answer', description: '', metadata: undefined, extensions: [] }
        bus.publish(
          AgentEvent.artifactUpdate({
            ...about,
            artifact: { artifactId: 'a', ...named, parts },
            append: false,
            lastChunk: true,
          }),
        )
        bus.publish(
          AgentEvent.statusUpdate({ ...about, status: status(TaskState.TASK_STATE_COMPLETED) }),
        )
      }
      bus.finished()
    },
    async cancelTask(taskId) {
      waiting.get(taskId)?.()
    },
  }
}

function card(url: string): AgentCard {
  return {
    name: 'a2a-agent',
    description: 'echoes',
    supportedInterfaces: [{ url, protocolBinding: 'GRPC', tenant: '', protocolVersion: '1.0' }],
    provider: undefined,
    version: '1',
    capabilities: {
      streaming: true,
      pushNotifications: false,
      extensions: [],
      extendedAgentCard: false,
    },
    securitySchemes: {},
    securityRequirements: [],
    defaultInputModes: ['text'],
    defaultOutputModes: ['text'],
    skills: [],
    signatures: [],
  }
}

async function files(dir: string): Promise<[ca: Buffer, key: Buffer, cert: Buffer]> {
  const [ca, key, cert] = await Promise.all(
    ['ca.crt', 'tls.key', 'tls.crt'].map((name) => readFile(join(dir, name))),
  )
  assert.ok(ca && key && cert)
  return [ca, key, cert]
}

async function startA2aServer(
  mesh: Mesh,
  onCaller: (spiffeId: string) => void,
): Promise<grpc.Server> {
  const [ca, key, cert] = await files(await mesh.identity('acme', 'a2a-agent'))
  const handler = new DefaultRequestHandler(card(''), new InMemoryTaskStore(), executor())
  const server = new grpc.Server()
  server.addService(
    A2AService,
    grpcService({
      requestHandler: handler,
      userBuilder: async (call) => {
        onCaller(String(call.metadata.get('x-mesh-caller')[0]))
        return await UserBuilder.noAuthentication()
      },
    }),
  )
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(
      '127.0.0.1:0',
      grpc.ServerCredentials.createSsl(ca, [{ private_key: key, cert_chain: cert }], true),
      (error, bound) => (error ? reject(error) : resolve(bound)),
    )
  })
  mesh.announce('acme', 'a2a-agent', port)
  return server
}

async function a2aClient(mesh: Mesh, agent: string): Promise<Client> {
  const [ca, key, cert] = await files(await mesh.identity('acme', agent))
  // the address is not in the certificate, the name of the gateway is
  const credentials = grpc.credentials.createSsl(ca, key, cert, {
    checkServerIdentity: (_host, certificate) =>
      checkServerIdentity('gateway.mesh.internal', certificate),
  })
  const factory = new ClientFactory({
    transports: [
      new GrpcTransportFactory({
        grpcChannelCredentials: credentials,
        grpcCallOptions: { host: mesh.nameOf('acme', 'a2a-agent') },
      }),
    ],
  })
  return await factory.createFromAgentCard(card(mesh.gateway.delegation))
}
