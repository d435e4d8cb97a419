import assert from 'node:assert/strict'
import { isMetadataService } from '../../../mesh-gateway/src/net/judge-addresses.ts'
import { isMetadataName } from '../../../mesh-gateway/src/net/special-ranges.ts'

describe('a metadata service', () => {
  for (const [host, isName, isService] of [
    ['metadata', true, true],
    ['metadata.google.internal', true, true],
    ['instance-data', true, true],
    ['instance-data.eu-west-1.compute.internal', true, true],
    ['an-instance-data.eu-west-1.compute.internal', false, false],
    ['a.instance-data.eu-west-1.compute.internal', false, false],
    ['instance-data.eu-west-1.compute.internal.test', false, false],
    ['instance-data.a.b.compute.internal', false, false],
    ['metadata.test', false, false],
    ['api.test', false, false],
    ['169.254.169.254', false, true],
    ['fd00:ec2::254', false, true],
    ['64:ff9b::a9fe:a9fe', false, true],
    ['2002:a9fe:a9fe::', false, true],
    ['169.254.1.1', false, false],
    ['2002:a00:1::', false, false],
  ] as const)
    it(`is ${isService ? '' : 'not '}at ${host}`, () => {
      assert.equal(isMetadataName(host), isName)
      assert.equal(isMetadataService(host), isService)
    })
})
