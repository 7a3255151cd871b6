declare module "*.txt" {
  const text: string;
  export default text;
}

declare module "*.svg" {
  const svg: string;
  export default svg;
}
