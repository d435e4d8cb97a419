/** The services that give credentials of the machine to whatever asks from it: refused by name before any lookup, and by address. */
import assert from 'node:assert/strict'
import { sendRaw } from './fixture.ts'
import { basic, connectTo, get, setUp } from './setup.ts'

describe('a metadata service of a cloud', () => {
  const setup = setUp()
  afterEach(setup.close)

  for (const name of [
    'metadata',
    'metadata.internal',
    'metadata.google.internal',
    'metadata.google',
    'metadata.goog',
    'METADATA.Google.Internal.',
    'instance-data',
    'instance-data.ec2.internal',
    'instance-data.eu-central-1.compute.internal',
    'metadata.azure.internal',
    'metadata.azure.com',
    'metadata.oraclecloud.com',
    'metadata.tencentyun.com',
    'api.metadata.cloud.ibm.com',
    'metadata.exoscale.com',
    'metadata.platformequinix.com',
    'metadata.packet.net',
    'rancher-metadata',
    'rancher-metadata.rancher.internal',
    'data-server',
  ])
    it(`is refused as ${name}, and that is not looked up`, async () => {
      const egress = await setup.egress(80, {
        names: { [name]: ['127.0.0.1'] },
        egress: { allow: [name] },
      })
      const auth = `${basic(await egress.token({ destinations: [name] }))}Connection: close\r\n`
      const host = {
        absolute: get(80, auth).replaceAll('api.test', name),
        connect: connectTo(80, auth, name),
      }
      for (const request of [host.absolute, host.connect]) {
        const answer = await sendRaw(egress.number, request)
        assert.match(answer, /^HTTP\/1\.1 403 [\s\S]*MESH_EGRESS_ADDRESS_REFUSED/)
        assert.match(answer, /"rule":"metadata name"/)
      }
      assert.deepEqual(egress.asked, [])
    })

  for (const name of [
    'metadata.test',
    'my-metadata.internal',
    'instance-data.test',
    'x.compute.internal',
  ])
    it(`is not meant by ${name}`, async () => {
      const egress = await setup.egress(80, { egress: { allow: [name] } })
      const auth = basic(await egress.token({ destinations: [name] }))
      await sendRaw(egress.number, connectTo(80, auth, name))
      assert.deepEqual(egress.asked, [name])
    })

  for (const ip of [
    '169.254.169.254',
    '169.254.170.2',
    '169.254.0.23',
    '169.254.42.42',
    '100.100.100.200',
    'fd00:ec2::254',
    'fd00:c1::a9fe:a9fe',
    'fd00:42::42',
    'fd00:a9fe:a9fe::1',
    'fd00:100::100:200',
    'fe80::a9fe:a9fe',
  ])
    it(`is refused at ${ip}, though policy allows its range`, async () => {
      const egress = await setup.egress(80, {
        names: { 'api.test': [ip] },
        egress: { allow: ['api.test'] },
        global: { allowCidrs: ['169.254.0.0/16', '100.64.0.0/10', 'fd00::/8', 'fe80::/10'] },
      })
      const auth = basic(await egress.token({ destinations: ['api.test'] }))
      const answer = await sendRaw(egress.number, connectTo(80, auth))
      assert.match(answer, /^HTTP\/1\.1 403 [\s\S]*"rule":"metadata /)
    })
})
