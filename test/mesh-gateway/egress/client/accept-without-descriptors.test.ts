import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { needProgram } from '../../../support/need-program.ts'

/** It tells its port, and which of its events come; whoever is let in gets back what it sends. */
const SERVER = `const server = require('node:net').createServer((socket) => socket.pipe(socket))
server.on('error', (error) => process.send('error ' + error.code))
server.listen(0, '127.0.0.1', () => process.send(server.address().port))
process.on('disconnect', () => server.close())`

describe('a server of Node that has no file descriptor left', () => {
  let child: ChildProcess
  beforeEach(() => {
    child = spawn(process.execPath, ['-e', SERVER], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
  })
  afterEach(async () => {
    const ended = once(child, 'exit')
    child.disconnect()
    await ended
  })

  it('is told nothing, goes on with those it has, and takes who waited when it has some again', async function () {
    if (process.platform !== 'linux') {
      process.stderr.write(
        'left out: prlimit, which changes the limit of another process, is of Linux\n',
      )
      this.skip()
    }
    needProgram(this, 'prlimit')
    const [port] = await once(child, 'message')
    const told: unknown[] = []
    child.on('message', (message) => told.push(message))
    const allow = (most: number) =>
      spawnSync('prlimit', ['--pid', String(child.pid), `--nofile=${most}:`]).status
    const there = connect(Number(port), '127.0.0.1').on('error', () => {})
    there.write('one')
    await once(there, 'data')
    assert.equal(allow(3), 0)
    const late = connect(Number(port), '127.0.0.1').on('error', () => {})
    await once(late, 'connect')
    late.write('late')
    // it has looked for clients when this comes back
    there.write('two')
    await once(there, 'data')
    assert.equal(allow(1024), 0)
    assert.deepEqual((await once(late, 'data')).map(String), ['late'])
    assert.deepEqual(told, [])
    late.destroy()
    there.destroy()
  })
})
