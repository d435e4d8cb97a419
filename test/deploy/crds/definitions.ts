/** Definitions of resources (CRDs) of the projects whose objects the charts make, and what they say of an object. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Schema, Validator } from '@cfworker/json-schema'
import { loadAll } from 'js-yaml'
import { field, type KubeObject } from '../chart/helm.ts'
import { goModule } from '../tools/go-module.ts'

/** Modules, and where in them the definitions are. */
export const DEFINITIONS = [
  ['github.com/cert-manager/cert-manager@v1.21.0', 'deploy/crds'],
  ['github.com/cert-manager/trust-manager@v0.25.0', 'deploy/crds'],
  ['github.com/prometheus-operator/prometheus-operator@v0.85.0', 'example/prometheus-operator-crd'],
] as const

export interface Definitions {
  /** What is wrong with an object, unknown fields included, each with its place. @throws Error when its kind is not known */
  faults(object: KubeObject): readonly string[]
}

export async function readDefinitions(): Promise<Definitions> {
  const schemas = new Map<string, Schema>()
  for (const [module, below] of DEFINITIONS) {
    const dir = join(await goModule(module), below)
    for (const file of (await readdir(dir)).filter((name) => name.endsWith('.yaml')))
      for (const definition of loadAll(await readFile(join(dir, file), 'utf8')))
        for (const [name, schema] of schemasOf(definition)) schemas.set(name, schema)
  }
  return {
    faults({ apiVersion, kind, ...rest }) {
      const schema = schemas.get(`${apiVersion} ${kind}`)
      if (schema === undefined) throw new Error(`no definition of ${apiVersion} ${kind}`)
      const { errors } = new Validator(schema, '2020-12', false).validate({
        ...{ apiVersion, kind },
        ...rest,
      })
      return errors.map(({ instanceLocation, error }) => `${instanceLocation}: ${error}`)
    },
  }
}

/** By `group/version Kind`. */
function schemasOf(definition: unknown): readonly (readonly [string, Schema])[] {
  const group = field(definition, 'spec.group')
  const kind = field(definition, 'spec.names.kind')
  const versions: unknown = field(definition, 'spec.versions')
  if (!Array.isArray(versions)) return []
  return versions.map((version) => {
    const schema = strict(field(version, 'schema.openAPIV3Schema'))
    return [`${group}/${field(version, 'name')} ${kind}`, Object(schema)] as const
  })
}

/** As an API server reads it by `--validate=strict`: a field that no property names is a fault. */
function strict(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(strict)
  if (typeof schema !== 'object' || schema === null) return schema
  const read = Object.fromEntries(
    Object.entries(schema).map(([key, value]) => [key, strict(value)]),
  )
  const closed =
    typeof read.properties === 'object' &&
    read.additionalProperties === undefined &&
    read['x-kubernetes-preserve-unknown-fields'] !== true
  return closed ? { ...read, additionalProperties: false } : read
}
