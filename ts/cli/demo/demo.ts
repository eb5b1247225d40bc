import type { Arguments } from '../arguments.ts'
export const runDemo = async (_args: Arguments): Promise<number> => 0
