// The generated loader of the WASM form: built by `npm run build:wasm`, so its own declarations are not there to compile.
declare module 'vfio-migration-wasm32-wasi' {
  const binding: Partial<typeof import('../binding.ts')>
  export default binding
}
