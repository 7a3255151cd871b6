import { highlight } from "./highlight/plugin";
import { render } from "./render/plugin";
import { spend } from "./spend/plugin";

export default [spend, render, highlight];
