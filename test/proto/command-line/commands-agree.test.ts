import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { ofTheRun } from '../../pki/run.ts'

const at = (path: string) => fileURLToPath(new URL(`../../../${path}`, import.meta.url))

/** Each command, a command of it that has commands of its own, and one of these. */
const COMMANDS = [
  ['mesh-gateway', at('mesh-gateway/bin/mesh-gateway.cjs'), 'policy', 'check'],
  ['mesh-pki', at('pki/bin/mesh-pki.cjs'), 'renew', 'intermediate'],
  ['mesh-agent', at('mesh-agent/bin/mesh-agent.cjs'), 'skill', 'install'],
] as const

for (const [name, file, room, inner] of COMMANDS)
  describe(`wrong usage of ${name}`, function () {
    this.timeout(60_000)
    const start = (...args: string[]) =>
      spawn(process.execPath, [file, ...args], {
        env: { PATH: process.env.PATH ?? '', ...ofTheRun(), NODE_NO_WARNINGS: '1' },
        stdio: ['ignore', 'pipe', 'pipe'],
      })
    const ran = async (...args: string[]) => {
      const child = start(...args)
      const ended = once(child, 'close')
      const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)])
      const [code] = await ended
      return { code, stdout, lines: stderr.trimEnd().split('\n') }
    }

    it('is a line of what is wrong, then the help of the command that was meant, and 2', async () => {
      for (const [args, wrong, meant] of [
        [['--frobnicate'], "unknown option '--frobnicate'", name],
        [['frobnicate'], "unknown command 'frobnicate'", name],
        [
          [room, inner, '--frobnicate'],
          "unknown option '--frobnicate'",
          `${name} ${room} ${inner}`,
        ],
      ] as const) {
        const { code, stdout, lines } = await ran(...args)
        assert.deepEqual(lines, [`${name}: ${wrong}`, `${name}: hint: ${meant} --help`])
        assert.deepEqual([code, stdout], [2, ''])
      }
    })

    it('ends as ever when nobody reads what it says', async () => {
      const child = start('frobnicate')
      child.stderr.destroy()
      assert.deepEqual(await once(child, 'close'), [2, null])
    })

    it('is not asking for help: that is 0, also when nobody reads on', async () => {
      const child = start('--help')
      child.stdout.destroy()
      assert.deepEqual(await once(child, 'close'), [0, null])
      const { code, lines } = await ran(room, inner, '--help')
      assert.deepEqual([code, lines], [0, ['']])
    })
  })
