// What Playwright's types and these tests name of a browser; the rest of it is not there in Node.
interface Node {
  readonly textContent: string
}
interface Element extends Node {
  readonly tagName: string
  readonly children: ArrayLike<Element>
  readonly dataset: Readonly<Record<string, string>>
  readonly scrollWidth: number
  readonly clientWidth: number
  getBoundingClientRect(): { readonly left: number; readonly top: number; readonly width: number }
}
interface HTMLElement extends Element {
  readonly title: string
}
interface SVGElement extends Element {
  readonly id: string
}
interface HTMLElementTagNameMap {
  readonly div: HTMLElement
}
