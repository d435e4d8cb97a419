/** The switch of all changes to the inside of Node, in a process of its own. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { patchesNode } from '../../../../mesh-gateway/src/process/node-internals/switch.ts'

const ROOM = new URL('../../../../mesh-gateway/src/process/node-internals/', import.meta.url)

/** Applies each patch; prints what they say, and whether Node's own parts are the same as before. */
const SCRIPT = `
import { AsyncResource } from 'node:async_hooks'
import { EventEmitter, once } from 'node:events'
import http2 from 'node:http2'
import net from 'node:net'
const load = (name) => import(new URL(name, ${JSON.stringify(ROOM.href)}))
const { leanAsyncResource } = await load('lean-async-resource.ts')
const { leanStreamTables } = await load('lean-stream-tables.ts')
const { reusedReads, reuseReadsOf } = await load('reused-reads.ts')
const { createReadBuffers } = await load('read-buffers.ts')
const { rescueConnections } = await load('rescue-connections.ts')
const said = {}
const own = AsyncResource.prototype.bind
said.bind = [leanAsyncResource(), AsyncResource.prototype.bind === own]

const server = http2.createServer().listen(0, '127.0.0.1')
await once(server, 'listening')
const session = http2.connect('http://127.0.0.1:' + server.address().port)
const state = session[Object.getOwnPropertySymbols(session).find((one) => one.description === 'state')]
const { streams } = state
said.tables = [leanStreamTables(session), state.streams === streams]
session.destroy()
server.close()

const plain = net.createServer((socket) => {
  const before = Object.getOwnPropertySymbols(socket).map((one) => socket[one])
  const reads = reusedReads(() => null, createReadBuffers())
  const reused = reuseReadsOf(socket, reads)
  const after = Object.getOwnPropertySymbols(socket).map((one) => socket[one])
  said.reads = [reused, after.every((one, i) => one === before[i])]
  socket.destroy()
  plain.close()
}).listen(0, '127.0.0.1')
await once(plain, 'listening')
net.connect(plain.address().port, '127.0.0.1').on('error', () => {}).resume()
await once(plain, 'close')

const child = new EventEmitter()
child.send = () => true
child.disconnect = () => {}
child.on('internalMessage', () => {})
const { send } = child
const worker = Object.assign(new EventEmitter(), { process: child })
said.rescue = [rescueConnections(worker, () => true), child.send === send]
console.log(JSON.stringify(said))
`

function run(value: string | undefined): unknown {
  const { MESH_NO_NODE_PATCHES: _, ...env } = process.env
  const { stdout, stderr } = spawnSync(
    process.execPath,
    ['--input-type=module', '--eval', SCRIPT],
    {
      env: value === undefined ? env : { ...env, MESH_NO_NODE_PATCHES: value },
      encoding: 'utf8',
    },
  )
  assert.notEqual(stdout, '', stderr)
  return JSON.parse(stdout)
}

describe('MESH_NO_NODE_PATCHES', () => {
  const OFF = [false, true]
  const ON = [true, false]

  it('leaves all of Node as it is when it is 1, and nothing else turns the patches off', () => {
    assert.deepEqual(run('1'), { bind: OFF, tables: OFF, reads: OFF, rescue: OFF })
    assert.deepEqual(run(undefined), { bind: ON, tables: ON, reads: ON, rescue: ON })
    for (const value of ['', '0', 'true', '11'])
      assert.equal(patchesNode({ MESH_NO_NODE_PATCHES: value }), true, value)
  })

  it('is read in one place, and each file that changes Node asks there', async () => {
    const changing: string[] = []
    for (const name of await readdir(ROOM)) {
      const text = await readFile(new URL(name, ROOM), 'utf8')
      if (name === 'switch.ts') continue
      assert.ok(!text.includes('process.env'), `${name} reads the environment`)
      if (/Reflect\.(?:set|defineProperty)\(|state\.streams =/.test(text)) changing.push(name)
      assert.equal(/patchesNode\(\)/.test(text), changing.includes(name), name)
    }
    assert.equal(changing.length, 4)
  })
})
