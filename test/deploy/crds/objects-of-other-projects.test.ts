/** Objects of cert-manager, trust-manager and the Prometheus Operator that the charts make, by the definitions of these projects. */
import assert from 'node:assert/strict'
import { field, type KubeObject, render } from '../chart/helm.ts'
import { EVERY_TENANT, EVERYTHING } from '../chart/values.ts'
import { type Definitions, readDefinitions } from './definitions.ts'

describe('objects of other projects', function () {
  this.timeout(600_000)
  let definitions: Definitions
  let objects: readonly KubeObject[]

  before('render them', async () => {
    definitions = await readDefinitions()
    const all = [
      ...(await render('clawmesh-gateway', EVERYTHING)),
      ...(await render('clawmesh-tenant', EVERY_TENANT)),
    ]
    objects = all.filter(({ apiVersion }) =>
      /^((trust\.)?cert-manager|monitoring)\./.test(String(apiVersion)),
    )
  })

  it('are as their definitions have them, unknown fields refused', () => {
    assert.deepEqual([...new Set(objects.map(({ kind }) => kind))].sort(), [
      'Bundle',
      'Certificate',
      'PrometheusRule',
      'ServiceMonitor',
    ])
    for (const object of objects)
      assert.deepEqual(definitions.faults(object), [], `${object.kind} ${object.metadata.name}`)
  })

  it('a misspelt field, and one of another type, would be seen in each', () => {
    for (const object of objects) {
      const spec = Object(object.spec)
      const misspelt = { ...object, spec: { ...spec, secretNam: 'x' } }
      assert.match(definitions.faults(misspelt).join(), /secretNam/, object.kind)
      const [key = ''] = Object.keys(spec)
      const mistyped = { ...object, spec: { ...spec, [key]: 5 } }
      assert.notDeepEqual(definitions.faults(mistyped), [], `${object.kind} ${key}`)
      assert.notEqual(field(object, `spec.${key}`), undefined)
    }
  })
})
