/** What every hint must be: a thing to do. None sends its reader back to the message, in a circle, or to a danger. */
import assert from 'node:assert/strict'
import { ERRORS } from '@clawmesh/proto'
import { repositoryFiles } from './repository-files.ts'

/** By kind, hints that help nobody. */
const USELESS: readonly (readonly [kind: string, pattern: RegExp])[] = [
  ['sends back to the message', /\bsee the (?:message|reason|error)\b/i],
  ['names a limit that policy may not have', /raise the limit in policy/i],
  ['leads to the metadata service of a cloud', /169\.254\.|metadata\.google/],
  ['is the meaning of the code again', /^$/],
]
/** Commands that read what the code is about: when they fail with it, their own name is no help. */
const READERS: Readonly<Record<string, RegExp>> = {
  MESH_KEYS_UNUSABLE: /keys (?:list|rotate|retire)/,
  MESH_ACCOUNTS_UNUSABLE: /service-account list/,
  MESH_REVOCATION_INVALID: /revoke --list/,
  MESH_CONFIG_INVALID: /--print-config/,
  MESH_PKI_INVALID: /mesh-pki (?:inspect|verify)/,
}

function faultOf(hint: string): string | null {
  return USELESS.find(([, pattern]) => pattern.test(hint))?.[0] ?? null
}

describe('hints', () => {
  it('of the table of errors say what to do, and name no command that fails with that very error', () => {
    const faults = Object.entries(ERRORS).flatMap(([code, { hint, meaning }]) => {
      const fault = hint === meaning ? 'is the meaning again' : faultOf(hint)
      const circular = READERS[code]?.test(hint) === true ? 'leads in a circle' : null
      return [fault, circular].flatMap((why) => (why === null ? [] : [`${code}: "${hint}" ${why}`]))
    })
    assert.deepEqual(faults, [])
  })

  it('in the sources do so too', async () => {
    const faults: string[] = []
    let looked = 0
    for (const { path, text } of await repositoryFiles()) {
      if (!/^(?:proto|agent-sdk|mesh-gateway|pki)\/src\/.*\.ts$/.test(path)) continue
      // literals that are a hint, and those that a function for hints returns
      for (const [, hint = ''] of text.matchAll(/\b(?:hint|HINT)\w*\s*[:=]\s*['"`]([^'"`\n]+)/g)) {
        looked += 1
        const fault = faultOf(hint)
        if (fault !== null) faults.push(`${path}: "${hint}" ${fault}`)
      }
    }
    assert.deepEqual(faults, [])
    assert.ok(looked > 40, `only ${looked} hints were found`)
  })

  it('of such kinds are seen', () => {
    for (const hint of [
      'see the message',
      'send less, or raise the limit in policy',
      'add 169.254.169.254',
    ])
      assert.notEqual(faultOf(hint), null, hint)
  })
})
