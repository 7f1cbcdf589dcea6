"""Folders in YOLO's layout, as Ultralytics, Roboflow, CVAT, Label Studio, LabelImg and Darknet write them."""
