import { columns } from './paint.ts'

/** Rows with their columns aligned; the last column is as long as it is. Texts may have colours. */
export const table = (rows: readonly (readonly string[])[]): string[] => {
  const count = Math.max(0, ...rows.map((row) => row.length))
  const widths = Array.from({ length: count }, (_, at) => Math.max(...rows.map((row) => columns(row[at] ?? ''))))
  const pad = (cell: string, at: number, row: readonly string[]) =>
    at === row.length - 1 ? cell : cell + ' '.repeat((widths[at] as number) - columns(cell))
  return rows.map((row) => row.map(pad).join('  ').trimEnd())
}
