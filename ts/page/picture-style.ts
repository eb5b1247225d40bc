import { pictureStyle } from '../picture/index.ts'

let adopted = false

/** Gives the page the drawings' own style: as a sheet of its own it needs no styles in markup, which the page's policy forbids. */
export const adoptPictureStyle = () => {
  if (adopted) return
  adopted = true
  const sheet = new CSSStyleSheet()
  sheet.replaceSync(pictureStyle)
  document.adoptedStyleSheets.push(sheet)
}
