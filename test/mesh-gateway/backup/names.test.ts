import assert from 'node:assert/strict'
import { DIRECTORY_NAMES, FILE_NAMES } from '../../../mesh-gateway/src/backup/names.ts'
import { SETTINGS } from '../../../mesh-gateway/src/config/settings.ts'

describe('a backup of a gateway', () => {
  it('has each file and directory that a setting names, but for the audit log', () => {
    const named = [...Object.keys(DIRECTORY_NAMES), ...Object.keys(FILE_NAMES), 'audit.file']
    const paths = SETTINGS.filter((setting) => setting.path).map(({ key }) => key)
    assert.deepEqual(named.toSorted(), paths.toSorted())
  })
})
