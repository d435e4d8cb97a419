import assert from 'node:assert/strict'
import { withPorts } from '../../../mesh-gateway/src/resolve/server-addresses.ts'

describe('addresses of DNS servers', () => {
  it('get port 53 where they have none', () => {
    const servers = ['192.0.2.1', '2001:db8::1', '2001:4860:4860::8888', '::1']
    assert.deepEqual(withPorts(servers), [
      ...['192.0.2.1:53', '[2001:db8::1]:53', '[2001:4860:4860::8888]:53', '[::1]:53'],
    ])
  })

  it('keep the port that they have', () => {
    const servers = ['192.0.2.1:5353', '[2001:db8::1]:5353']
    assert.deepEqual(withPorts(servers), servers)
  })
})
