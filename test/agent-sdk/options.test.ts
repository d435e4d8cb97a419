/** For those without TypeScript: an option that there is not is a TypeError, at once, and says which one was meant. */
import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  createAgent,
  createMemoryTaskStore,
  createSqliteTaskStore,
  type DelegateOptions,
} from '@clawmesh/agent-sdk'
import { channelCredentials, listenForCalls } from '@clawmesh/agent-sdk/calls'
import {
  checkIsGateway,
  clientTlsOptions,
  loadIdentity,
  openIdentity,
  serverTlsOptions,
} from '@clawmesh/agent-sdk/mesh'
import { Server } from '@grpc/grpc-js'
import { type StandInMesh, startStandInMesh } from './stand-in/mesh.ts'

describe('an option with a name that there is not', () => {
  let mesh: StandInMesh
  let dir: string
  before(async () => {
    mesh = await startStandInMesh()
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-options-'))
  })
  after(async () => {
    await mesh.close()
    await rm(dir, { recursive: true })
  })

  const said = (message: string) => ({ name: 'TypeError', message })
  /** Options as JavaScript would write them. */
  const with_ = <T extends object>(good: T, more: object): T => Object.assign({ ...good }, more)

  it('of createAgent: is a TypeError before anything is opened', async () => {
    // a directory that is not there would be another error
    const good = { gateway: '127.0.0.1:1', identity: join(dir, 'gone') }
    const refused = (more: object, message: string) =>
      assert.rejects(createAgent(with_(good, more)), said(message))
    await refused(
      { egres: 'http://127.0.0.1:1' },
      'egres: is no option of createAgent; did you mean egress',
    )
    await refused(
      { trustdomain: 'x' },
      'trustdomain: is no option of createAgent; did you mean trustDomain',
    )
    await refused({ zzz: undefined }, 'zzz: is no option of createAgent')
    await refused(
      { patience: { idle: 1 } },
      'patience.idle: is no option of createAgent; did you mean idleMs',
    )
    await refused({ patience: 5 }, 'patience: takes an object of options')
    await refused(
      { identity: undefined },
      'identity: must be a directory, or a store of openIdentity',
    )
    await refused({ gateway: undefined }, 'gateway: must be host:port, e.g. 127.0.0.1:8443')
    // @ts-expect-error: nothing at all
    await assert.rejects(createAgent(), said('createAgent: takes an object of options'))
  })

  it('of delegate, list and peers: is a TypeError before anything is sent', async () => {
    const { a } = mesh
    const calls = mesh.gateway.calls.length
    const good: DelegateOptions = { skill: 's' }
    const refused = (more: object, message: string) =>
      assert.throws(() => a.delegate('b', with_(good, more)), said(message))
    refused({ deadlineMS: 5 }, 'deadlineMS: is no option of delegate; did you mean deadlineMs')
    refused({ timeout: 5 }, 'timeout: is no option of delegate')
    refused(
      { narrow: { destination: [] } },
      'narrow.destination: is no option of delegate; did you mean destinations',
    )
    // @ts-expect-error: as the skill alone
    assert.throws(() => a.delegate('b', 's'), said('delegate: takes an object of options'))
    // @ts-expect-error: nothing at all
    assert.throws(() => a.delegate('b'), said('delegate: takes an object of options'))
    // @ts-expect-error: nothing at all
    await assert.rejects(a.serve(), said('serve: takes an object of options'))
    const listed = a.list('b', with_({}, { state: ['working'] }))[Symbol.asyncIterator]()
    await assert.rejects(listed.next(), said('state: is no option of list; did you mean states'))
    await assert.rejects(
      a.peers(with_({}, { traceParent: 'x' })),
      said('traceParent: is no option of peers; did you mean traceparent'),
    )
    assert.equal(mesh.gateway.calls.length, calls)
  })

  it('an address that nobody listens on is named, with the cause', async () => {
    const agent = await mesh.agent('lost', {
      gateway: '127.0.0.1:1',
      patience: { startGiveUpMs: 0 },
    })
    await assert.rejects(agent.delegate('b', { skill: 's' }).result(), {
      code: 'MESH_GATEWAY_UNREACHABLE',
      message: /^the gateway cannot be reached: .*ECONNREFUSED.*127\.0\.0\.1:1/,
    })
  })

  it('of serve and its skills, and of the stores of tasks: is a TypeError before anything is open', async () => {
    const { b } = mesh
    const skills = { echo: () => 'x' }
    await assert.rejects(
      b.serve(with_({ skills }, { lisen: '127.0.0.1:0' })),
      said('lisen: is no option of serve; did you mean listen'),
    )
    await assert.rejects(
      b.serve({ skills: { echo: with_({ run: () => 'x' }, { resumes: true }) } }),
      said('skills.echo.resumes: is no option of serve; did you mean resume'),
    )
    await assert.rejects(
      b.serve({ skills: { 'two words': () => 'x' } }),
      said('skills: "two words" is no name: letters, digits, and . _ / - within'),
    )
    await assert.rejects(
      // @ts-expect-error: as JavaScript has it
      b.serve({ skills: { echo: 5 } }),
      said('skills.echo: must be a function, or an object with run'),
    )
    assert.throws(
      () => createMemoryTaskStore(with_({}, { maxTask: 5 })),
      said('maxTask: is no option of createMemoryTaskStore; did you mean maxTasks'),
    )
    assert.throws(
      () => createSqliteTaskStore(with_({ file: join(dir, 'tasks.db') }, { durabilty: 'none' })),
      said('durabilty: is no option of createSqliteTaskStore; did you mean durability'),
    )
    assert.deepEqual(await readdir(dir), [])
  })

  it('of identities, listeners, credentials and TLS: is a TypeError before anything is read', async () => {
    const { spiffe } = mesh.ca
    const opening = { dir: join(dir, 'none'), spiffe }
    await assert.rejects(
      openIdentity(with_(opening, { pollms: 5 })),
      said('pollms: is no option of openIdentity; did you mean pollMs'),
    )
    await assert.rejects(
      loadIdentity(join(dir, 'none'), with_({ spiffe }, { nows: Date.now })),
      said('nows: is no option of loadIdentity; did you mean now'),
    )
    const store = await mesh.ca.open(await mesh.ca.agentDir({ tenant: 'acme', agent: 'c' }))
    assert.throws(
      () => channelCredentials(store, with_({ spiffe, expect: checkIsGateway }, { onpeer: 1 })),
      said('onpeer: is no option of channelCredentials; did you mean onPeer'),
    )
    await assert.rejects(
      listenForCalls(with_({ server: new Server(), store, spiffe }, { hots: '::' })),
      said('hots: is no option of listenForCalls; did you mean host'),
    )
    const now = store.current()
    assert.throws(
      () => serverTlsOptions(now, with_({}, { alpns: [] })),
      said('alpns: is no option of serverTlsOptions; did you mean alpn'),
    )
    assert.throws(
      () => clientTlsOptions(now, spiffe, checkIsGateway, with_({}, { serverName: 'x' })),
      said('serverName: is no option of clientTlsOptions; did you mean servername'),
    )
  })

  it('of ctx.artifact and ctx.delegate: fails the skill', async () => {
    const errors: unknown[] = []
    await mesh.serve({
      skills: {
        async sends(_, ctx) {
          await ctx.artifact('a', 'x', with_({}, { mediatype: 'y' })).catch((e) => errors.push(e))
          try {
            ctx.delegate('b', with_({ skill: 's' }, { signl: ctx.signal }))
          } catch (error) {
            errors.push(error)
          }
        },
      },
    })
    await mesh.a.delegate('b', { skill: 'sends' }).result()
    assert.deepEqual(errors.map(String), [
      'TypeError: mediatype: is no option of artifact; did you mean mediaType',
      'TypeError: signl: is no option of delegate; did you mean signal',
    ])
  })
})
