/** Reads one object of a configuration, key by key. Faults are gathered; a key that nobody asked for is one. */

export interface Fields {
  /** Of this object and of all in it. */
  readonly faults: readonly string[]
  fault(key: string, what: string): void
  /** Names of all keys. */
  keys(): readonly string[]
  /** Empty, with a fault, when it is missing or of another form. @param form said in the fault: "host:port" */
  text(key: string, form: RegExp, what: string): string
  optionalText(key: string, form: RegExp, what: string): string | null
  /** Null when the key is not there. */
  texts(key: string, form: RegExp, what: string): readonly string[] | null
  count(key: string, bounds: Bounds): number | null
  /** `90s`, `20m`, `1h`, or a number of seconds; in milliseconds. */
  duration(key: string, bounds: Bounds): number | null
  list<T>(
    key: string,
    read: (value: unknown, path: string, faults: string[]) => T,
  ): readonly T[] | null
  section(key: string): Section | null
  /** Says which keys nobody asked for. */
  end(): void
}

export interface Section extends Fields {
  /** Reads all of it, and ends it. */
  done<T>(read: (fields: Fields) => T): T
}

export interface Bounds {
  readonly least: number
  readonly most: number
}

const UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
}

/** @param path of the object, empty at the top */
export function createFields(value: unknown, path: string, faults: string[] = []): Section {
  return new FieldsOfObject(value, path, faults)
}

class FieldsOfObject implements Section {
  readonly faults: string[]
  readonly #path: string
  readonly #left: Map<string, unknown>

  constructor(value: unknown, path: string, faults: string[]) {
    this.faults = faults
    this.#path = path
    const record = recordOf(value)
    if (record === null)
      faults.push(`${path === '' ? 'the configuration' : path} must be an object`)
    this.#left = new Map(Object.entries(record ?? {}))
  }

  fault(key: string, what: string): void {
    this.faults.push(`${this.#nameOf(key)} ${what}`)
  }

  keys(): readonly string[] {
    return [...this.#left.keys()]
  }

  text(key: string, form: RegExp, what: string): string {
    if (!this.#left.has(key)) this.fault(key, `is missing: ${what}`)
    return this.optionalText(key, form, what) ?? ''
  }

  optionalText(key: string, form: RegExp, what: string): string | null {
    const found = this.#take(key)
    if (found === undefined) return null
    if (typeof found === 'string' && form.test(found)) return found
    this.fault(key, `must be ${what}`)
    return null
  }

  texts(key: string, form: RegExp, what: string): readonly string[] | null {
    return this.list(key, (each, at) => {
      if (typeof each === 'string' && form.test(each)) return each
      this.faults.push(`${at} must be among ${what}`)
      return ''
    })
  }

  count(key: string, bounds: Bounds): number | null {
    const found = this.#take(key)
    if (found === undefined) return null
    if (Number.isInteger(found)) return this.#within(key, Number(found), bounds, '')
    this.fault(key, 'must be a whole number')
    return null
  }

  duration(key: string, bounds: Bounds): number | null {
    const found = this.#take(key)
    if (found === undefined) return null
    const [, amount, unit = 's'] = /^(\d{1,9})(ms|s|m|h)?$/.exec(String(found)) ?? []
    if (amount !== undefined)
      return this.#within(key, Number(amount) * (UNIT_MS[unit] ?? 0), bounds, 's')
    this.fault(key, 'must be a time such as 90s, 20m or 1h')
    return null
  }

  list<T>(
    key: string,
    read: (value: unknown, path: string, faults: string[]) => T,
  ): readonly T[] | null {
    const found = this.#take(key)
    if (found === undefined) return null
    if (Array.isArray(found))
      return found.map((each: unknown, at) =>
        read(each, `${this.#nameOf(key)}[${at}]`, this.faults),
      )
    this.fault(key, 'must be a list')
    return []
  }

  section(key: string): Section | null {
    if (!this.#left.has(key)) return null
    return createFields(this.#take(key), this.#nameOf(key), this.faults)
  }

  end(): void {
    for (const key of this.#left.keys()) this.fault(key, 'is not a key that there is')
  }

  done<T>(read: (fields: Fields) => T): T {
    const made = read(this)
    this.end()
    return made
  }

  #take(key: string): unknown {
    const found = this.#left.get(key)
    this.#left.delete(key)
    return found
  }

  #nameOf(key: string): string {
    return this.#path === '' ? key : `${this.#path}.${key}`
  }

  #within(key: string, value: number, { least, most }: Bounds, unit: string): number | null {
    if (value >= least && value <= most) return value
    const scale = UNIT_MS[unit] ?? 1
    this.fault(key, `must be between ${least / scale} and ${most / scale}${unit}`)
    return null
  }
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> | null {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null
  return Object.fromEntries(Object.entries(value))
}
