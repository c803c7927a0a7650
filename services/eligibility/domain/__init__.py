"""The rules of this stage: who may receive what, how much, who on a family card is paid, and why."""
