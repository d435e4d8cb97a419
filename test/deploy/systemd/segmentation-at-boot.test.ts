/** deploy/systemd/clawmesh-segmentation.service, by a systemd that was booted for it, with the rules for users of a host. */
import assert from 'node:assert/strict'
import { shipped } from '../shipped.ts'
import { bootMachine, type Machine } from './machine.ts'

const UNIT = 'clawmesh-segmentation.service'

describe('Segmentation under systemd', function () {
  this.timeout(240_000)
  let machine: Machine
  let rules: string

  before(async () => {
    machine = await bootMachine({ mounts: {} })
    rules = await shipped('segmentation/host-users.nft')
    await machine.write(`/etc/systemd/system/${UNIT}`, await shipped(`systemd/${UNIT}`), '644')
    await machine.write('/etc/clawmesh/segmentation.nft', rules)
    await machine.must('systemctl', 'daemon-reload')
  })

  after(() => machine?.close())

  const inForce = async () =>
    (await machine.run('nft', '--stateless', 'list', 'table', 'inet', 'clawmesh')).stdout

  it('is loaded before the network, and a reload with a fault changes nothing', async () => {
    await machine.must('systemctl', 'enable', '--now', UNIT)
    assert.match(await inForce(), /2000-2099/)
    const before = await machine.must('systemctl', 'show', '--value', '-p', 'Before', UNIT)
    assert.match(before, /network-pre\.target/)
    await machine.write('/etc/clawmesh/segmentation.nft', rules.replace('2000-2099', '3000-3099'))
    await machine.must('systemctl', 'reload', UNIT)
    const listed = await inForce()
    assert.match(listed, /3000-3099/)
    await machine.write('/etc/clawmesh/segmentation.nft', `${rules}\nadd rule nonsense`)
    assert.notEqual((await machine.run('systemctl', 'reload', UNIT)).code, 0)
    assert.equal(await inForce(), listed)
    assert.equal((await machine.must('systemctl', 'is-active', UNIT)).trim(), 'active')
  })

  it('is removed by a stop alone', async () => {
    const conflicts = await machine.must('systemctl', 'show', '--value', '-p', 'Conflicts', UNIT)
    assert.doesNotMatch(conflicts, /shutdown\.target/)
    await machine.must('systemctl', 'stop', UNIT)
    assert.equal(await inForce(), '')
  })

  it('is understood, each key of it', async () => {
    const file = `/etc/systemd/system/${UNIT}`
    const verified = await machine.run('systemd-analyze', 'verify', '--man=no', file)
    assert.deepEqual(verified, { code: 0, stdout: '', stderr: '' })
  })
})
