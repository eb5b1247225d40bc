/** Where a file can no longer be read, and why. */
export interface Damage {
  /** The byte of the file at which it begins. */
  readonly at: bigint
  /** What should be there. */
  readonly expected: string
  /** What is there. */
  readonly found: string
}

/** The bytes that a part carries, without what is around them. */
export interface PartPayload {
  /** The first of them in the file. */
  readonly at: bigint
  readonly len: bigint
  /** Their CRC32C. */
  readonly checksum: number
}

/** One stretch of a file. Each begins where the one before ended; together they are the file. */
interface Stretch {
  /** Its first byte in the file. */
  readonly at: bigint
  readonly len: bigint
  /** The object that it is about, by its place in the outline's `objects`. */
  readonly object?: number
  readonly payload?: PartPayload
}

/** A part of a stream of this package. `number` is the frame's sequence number. */
export type StreamPart = Stretch &
  (
    | { readonly type: 'preamble' | 'table' }
    | {
        readonly type: 'data'
        readonly number: number
        /** Where the bytes begin in the object. */
        readonly offset: bigint
        /** A region's segment ends here. */
        readonly segmentEnd: boolean
        /** The initial data of this generation end here. */
        readonly initialEnd?: number
      }
    | { readonly type: 'object-end' | 'text-part'; readonly number: number }
    | { readonly type: 'message'; readonly number: number; readonly name: string }
    | {
        readonly type: 'text'
        readonly number: number
        readonly name: 'event' | 'report' | 'cancelled'
        readonly text: string
      }
    | { readonly type: 'end'; readonly number: number; readonly goesOn: boolean }
    | { readonly type: 'skipped'; readonly number: number; readonly kind: number }
  )

/** A part of a file of QEMU's. */
export type QemuPart = Stretch &
  (
    | { readonly type: 'libvirt-header' | 'libvirt-domain' | 'qemu-header' | 'qemu-end' | 'description' | 'trailing' }
    | { readonly type: 'configuration'; readonly machine: string }
    | { readonly type: 'configuration-part' | 'command'; readonly name: string }
    | {
        readonly type: 'section'
        readonly kind: 'start' | 'part' | 'end' | 'full'
        readonly id: number
        readonly name: string
      }
    | { readonly type: 'footer'; readonly id: number }
    | { readonly type: 'ram' | 'multifd-pages'; readonly pages: number; readonly zeroPages: number }
    | { readonly type: 'opaque' | 'multifd-sync' }
    | { readonly type: 'vfio-setup' | 'vfio-config' | 'vfio-end' | 'vfio-initial-sent' | 'vfio-config-ready' }
    | { readonly type: 'vfio-data'; readonly offset: bigint }
    | { readonly type: 'multifd-hello'; readonly channel: number }
    | { readonly type: 'multifd-data' | 'multifd-config'; readonly index: number }
  )

/** One stretch of a file; the last one may be damaged. */
export type Part = StreamPart | QemuPart | (Stretch & { readonly type: 'damage'; readonly damage: Damage })

/** What a device's driver put before its data. */
export interface Recognised {
  /** Whose layout it is; `records` is that of mlx5 and virtio. */
  readonly family: 'model' | 'mtty' | 'records' | 'hisi' | 'qat' | 'xe'
  /** What stands there, by name. */
  readonly facts: readonly (readonly [name: string, value: string])[]
  /** What is not as that driver writes it. */
  readonly problem?: string
}

/** What the guest had set up of a PCI device, as QEMU saves it beside the device's data. */
export interface PciConfig {
  /** Bytes of configuration space: 256, or 4096 if the guest sees a PCI Express device. */
  readonly space: number
  /** Vendor, device, and those of the subsystem. */
  readonly ids: readonly number[]
  readonly class: number
  readonly revision: number
  readonly command: number
  readonly bars: readonly number[]
  readonly capabilities: readonly number[]
  readonly intx: readonly boolean[]
  readonly msix?: {
    readonly vectors: number
    readonly enabled: boolean
    readonly masked: number
    readonly pending: number
  }
  readonly display: boolean
}

/** What is known of one object of a file. */
export interface ObjectOutline {
  readonly id: string
  readonly kind: 'device' | 'memory'
  /** Absent where the file does not say. */
  readonly protocol?: 'region' | 'fsm'
  readonly capabilities?: string
  /** A memory's first address, as devices see it. */
  readonly iova?: bigint
  /** Bytes of a memory; of a device what it estimated. */
  readonly size?: bigint
  readonly passport?: readonly { readonly key: string; readonly value: string; readonly needed: boolean }[]
  /** How many parts carry its bytes; of QEMU's guest memory, how many pages. */
  readonly frames: number
  /** Its bytes, those of a memory that came again included. */
  readonly bytes: bigint
  /** Pages that were sent without their bytes, since these are all the same. */
  readonly zeroPages?: number
  /** Segments of a region device that ended. */
  readonly segments: number
  /** How often its initial data ended. */
  readonly initialEnds: number
  /** Whether the file says that all of it is there. */
  readonly complete: boolean
  /** CRC32C of a device's data, however they are cut. */
  readonly checksum?: number
  readonly config?: PciConfig
  /** Absent: its data are opaque. */
  readonly recognised?: Recognised
}

/** What else a file of QEMU's says. */
export interface QemuOutline {
  readonly machine?: string
  readonly capabilities: readonly string[]
  /** Whether libvirt wrote the file. */
  readonly libvirt: boolean
  /** Which of several connections the file is. */
  readonly channel?: number
  /** What was saved, in the order in which it began. */
  readonly sections: readonly {
    readonly id: number
    readonly name: string
    readonly instance: number
    readonly version: number
    readonly sections: number
    readonly bytes: bigint
  }[]
  /** How many of them the description at the end names. */
  readonly described?: number
}

/** What is in a file, in short. */
export interface Outline {
  readonly format: 'unknown' | 'stream' | 'qemu' | 'qemu-multifd'
  /** Bytes of the file. */
  readonly size: bigint
  readonly parts: number
  /** The id of the session that wrote it, as 32 hexadecimal digits. */
  readonly session?: string
  readonly mode?: 'one-way' | 'connected'
  readonly largestFrame?: number
  readonly objects: readonly ObjectOutline[]
  readonly qemu?: QemuOutline
  /** How it ends; absent if it stops before an end. */
  readonly ending?: 'stopped' | 'goes-on' | 'cancelled' | 'given-up' | 'end'
  /** What cannot be known from the file, and what is worth knowing about it. */
  readonly notes: readonly string[]
  /** What in it contradicts itself, though it can be read. */
  readonly problems: readonly string[]
  /** Where it can no longer be read. */
  readonly damage?: Damage
}

/** One piece of an object or of a section, in a file that is compared. */
export interface Place {
  /** Where its part begins in the file. */
  readonly at: bigint
  /** Where its bytes begin in the object. */
  readonly offset: bigint
  readonly len: bigint
  readonly checksum: number
  readonly segmentEnd: boolean
}

/** One difference between two files. */
export interface Difference {
  /** The object or section; absent where it is about the file. */
  readonly of?: string
  /** What differs, one sentence. */
  readonly what: string
  /** Which frame, by its turn among those of the object. */
  readonly frame?: number
  readonly first?: Place
  readonly second?: Place
}
